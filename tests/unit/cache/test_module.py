"""The cache module: on Redis, without it, and while Redis is frozen or gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.cache.limits import Limits
from services.cache.module import open_cache
from services.cache.service import CacheService
from services.contracts.cache.values import Fill, Hit, Join, Miss
from services.edge.answers.recall import First
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from tests.harness.caches import HEADERS, KEY, Edge, Provider, ask, edge_of
from tests.redis_server import RedisServer

CLOCK = SystemClock()
WAITING_BRIEFLY = Limits(foreign_wait_s=0.02, foreign_poll_s=0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


class Parts:
    """A cache module and what it reports to."""

    def __init__(self) -> None:
        self.dependencies = Dependencies(clock=CLOCK)
        self.metrics = Metrics()
        self.service: CacheService
        self.edge: Edge

    def metric(self, line: str) -> bool:
        return line in self.metrics.render().decode()


@asynccontextmanager
async def cache(
    redis_url: str | None, *, instance: str = "cache-1", limits: Limits = WAITING_BRIEFLY
) -> AsyncIterator[Parts]:
    parts = Parts()
    opening = open_cache(
        redis_url=redis_url,
        instance=instance,
        clock=CLOCK,
        tracer=NoTracer(),
        metrics=parts.metrics,
        dependencies=parts.dependencies,
        limits=limits,
    )
    async with opening as parts.service, edge_of({instance: parts.service}, clock=CLOCK) as parts.edge:
        yield parts


async def timed_first(edge: Edge, key: bytes = KEY) -> tuple[First, float]:
    began_s = time.monotonic()
    recall = edge.recall(key)
    first = await recall.first
    took_s = time.monotonic() - began_s
    recall.leave()
    return first, took_s


async def until(condition: object, *, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_answers_outlive_a_replica(server: RedisServer) -> None:
    provider = Provider()
    async with cache(server.url, instance="cache-1") as before:
        await ask(before.edge.recall(), provider)

    async with cache(server.url, instance="cache-2") as after:
        first, _ = await timed_first(after.edge)

    assert isinstance(first, Hit)
    assert first.chunks == provider.chunks
    assert first.headers == HEADERS
    assert 55 <= first.ttl_left_s <= 60


async def test_without_redis_answers_are_kept_in_memory() -> None:
    async with cache(None) as parts:
        await ask(parts.edge.recall(), Provider())
        async with edge_of({"cache-1": parts.service}, clock=CLOCK) as other:
            first, _ = await timed_first(other)

    assert isinstance(first, Hit)


async def test_what_is_kept_in_memory_is_bounded() -> None:
    async with cache(None, limits=Limits(stored_answers_bytes_max=1_500)) as parts:
        for key in (b"1" * 32, b"2" * 32, b"3" * 32):
            await ask(parts.edge.recall(key), Provider())
        async with edge_of({"cache-1": parts.service}, clock=CLOCK) as other:
            oldest, _ = await timed_first(other, b"1" * 32)
            newest, _ = await timed_first(other, b"3" * 32)

    assert isinstance(oldest, Fill)
    assert isinstance(newest, Hit)


async def test_a_frozen_redis_costs_a_request_at_most_its_lookup_and_the_next_nothing(server: RedisServer) -> None:
    async with cache(server.url) as parts:
        await timed_first(parts.edge)
        server.freeze()
        try:
            frozen, frozen_s = await timed_first(parts.edge, b"1" * 32)
            await until(lambda: parts.dependencies.is_down("redis"))
            after, after_s = await timed_first(parts.edge, b"2" * 32)
        finally:
            server.thaw()

    assert frozen == Miss(frozen.call, is_degraded=True)
    assert frozen_s < 0.3
    assert isinstance(after, Fill)
    assert after.is_degraded
    assert after_s < 0.09


async def test_while_redis_is_gone_requests_still_share_one_call(server: RedisServer) -> None:
    provider = Provider()
    async with cache(server.url) as parts:
        server.stop()
        await timed_first(parts.edge, b"0" * 32)
        await until(lambda: parts.dependencies.is_down("redis"))

        answers = await asyncio.gather(*[ask(parts.edge.recall(), provider) for _ in range(20)])

    assert provider.calls == 1
    assert set(answers) == {b"".join(provider.chunks)}


async def test_when_redis_is_back_answers_are_stored_again(server: RedisServer) -> None:
    async with cache(server.url) as parts:
        server.stop()
        await timed_first(parts.edge, b"0" * 32)
        await until(lambda: parts.dependencies.is_down("redis"))
        server.start()
        await until(lambda: not parts.dependencies.is_down("redis"))

        await ask(parts.edge.recall(), Provider())
        await until(lambda: parts.service.counts.kept == 1)


async def test_a_lease_is_held_while_its_fill_lasts_and_then_given_back(server: RedisServer) -> None:
    async with cache(server.url, instance="cache-1") as one, cache(server.url, instance="cache-2") as other:
        filler = one.edge.recall()
        await filler.first
        foreign, _ = await timed_first(other.edge)
        waits_during = other.service.counts.foreign_waits
        filler.end("uncacheable")
        await until(lambda: len(one.service.fills) == 0 and len(other.service.fills) == 0)
        await asyncio.sleep(0.05)
        again, _ = await timed_first(other.edge)

    assert isinstance(foreign, Fill)
    assert isinstance(again, Fill)
    assert (waits_during, other.service.counts.foreign_waits) == (1, 1)


async def test_what_happens_is_measured() -> None:
    async with cache(None) as parts:
        filler, joiner = parts.edge.recall(), parts.edge.recall()
        await filler.first

        assert isinstance(await joiner.first, Join)
        assert parts.metric('narrows_cache_replies_total{reply="join"} 1.0')
        assert parts.metric("narrows_cache_fills 1.0")
