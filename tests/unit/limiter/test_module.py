"""The limiter with a real Redis: one that may evict is refused, one that freezes or restarts is survived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from services.contracts.limiter.values import Ask, Bucket, Grant, LeaseAnswer, StoreDown
from services.kit.clock import SystemClock
from services.kit.errors import SettingsInvalid
from services.kit.health import Dependencies
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.limiter.module import open_limiter
from services.limiter.service import LimiterService
from tests.harness.processes import unused_port
from tests.harness.wires import Wires
from tests.redis_server import RedisServer

BUCKET = Bucket("local", "main", "calls", "fixed", 86_400)
CLOCK = SystemClock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


def limiter(url: str | None, dependencies: Dependencies | None = None) -> AbstractAsyncContextManager[LimiterService]:
    return open_limiter(
        redis_url=url,
        clock=CLOCK,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=dependencies or Dependencies(clock=CLOCK),
    )


@pytest.fixture
async def service(server: RedisServer) -> AsyncIterator[LimiterService]:
    async with limiter(server.url) as opened:
        yield opened


async def ask(service: LimiterService, sequence: int, bucket: Bucket = BUCKET) -> LeaseAnswer:
    return (await service.answer([Ask("A", bucket, sequence, 1000, 2, 0)]))[0]


async def granted_again(service: LimiterService, sequence: int, bucket: Bucket = BUCKET) -> Grant:
    async with asyncio.timeout(5):
        while not isinstance(answer := await ask(service, sequence, bucket), Grant):
            await asyncio.sleep(0.02)
    return answer


async def test_without_a_url_leases_live_in_memory() -> None:
    async with limiter(None) as service:
        assert isinstance(await ask(service, 1), Grant)


async def test_two_limiters_on_one_redis_share_their_leases(server: RedisServer, service: LimiterService) -> None:
    first = await ask(service, 1)
    async with limiter(server.url) as other:
        again = await ask(other, 1)
        new = await ask(other, 2)

    assert isinstance(first, Grant)
    assert isinstance(again, Grant)
    assert isinstance(new, Grant)
    assert (again.units, again.remaining) == (first.units, first.remaining)
    assert new.remaining == 996


async def test_a_cluster_keeps_each_buckets_keys_together(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(unused_port())) as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        async with limiter(f"redis+cluster://127.0.0.1:{node.port}") as service:
            grants = [await granted_again(service, 1, Bucket("local", "main", name, "sliding", 60)) for name in "abc"]

    assert [grant.remaining for grant in grants] == [998] * 3


async def test_a_redis_that_may_evict_is_refused(server: RedisServer) -> None:
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    with pytest.raises(SettingsInvalid, match="must have maxmemory-policy noeviction, is allkeys-lru"):
        async with limiter(server.url):
            pass


async def test_a_redis_that_comes_back_ready_to_evict_stays_refused(tmp_path: Path) -> None:
    dependencies = Dependencies(clock=CLOCK)
    server = RedisServer(tmp_path, "--maxmemory-policy", "volatile-ttl")
    async with limiter(server.url, dependencies) as service:
        with server:
            await asyncio.sleep(0.3)
            answer = await ask(service, 1)

    assert isinstance(answer, StoreDown)
    assert "noeviction" in answer.message
    assert dependencies.is_down("redis")


async def test_a_redis_that_is_down_at_the_start_is_used_once_it_is_up(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    async with limiter(server.url) as service:
        before = await ask(service, 1)
        with server:
            after = await granted_again(service, 1)

    assert isinstance(before, StoreDown)
    assert after.units == 2


async def test_a_frozen_redis_is_told_within_its_timeout_and_then_at_once(
    server: RedisServer, service: LimiterService
) -> None:
    await ask(service, 1)
    server.freeze()
    took_s = []
    for sequence in range(2, 7):
        began = time.monotonic()
        assert isinstance(await ask(service, sequence), StoreDown)
        took_s.append(time.monotonic() - began)
    server.thaw()

    assert took_s[0] < 0.35
    assert max(took_s[1:]) < 0.05


async def test_a_redis_that_answers_late_is_down_until_it_does_not(server: RedisServer) -> None:
    dependencies = Dependencies(clock=CLOCK)
    with Wires() as wires:
        url = f"redis://127.0.0.1:{wires.lay('redis', server.port)}/0"
        async with limiter(url, dependencies) as service:
            await ask(service, 1)
            wires.delay("redis", 0.3)
            late = await ask(service, 2)
            await asyncio.sleep(1.0)
            later = await ask(service, 3)
            was_down = dependencies.is_down("redis")
            wires.delay("redis", 0)
            after = await granted_again(service, 4)

    assert isinstance(late, StoreDown)
    assert isinstance(later, StoreDown)
    assert was_down
    assert after.units == 2
    assert not dependencies.is_down("redis")


async def test_after_a_freeze_answers_are_those_to_the_questions_asked(
    server: RedisServer, service: LimiterService
) -> None:
    other = Bucket("local", "main", "other", "fixed", 86_400)
    await ask(service, 1)
    server.freeze()
    frozen = await ask(service, 2)
    server.thaw()
    thawed = await granted_again(service, 3)
    first_of_other = await ask(service, 4, other)

    assert isinstance(frozen, StoreDown)
    assert thawed.remaining in (994, 996)
    assert isinstance(first_of_other, Grant)
    assert (first_of_other.bucket, first_of_other.remaining) == (other, 998)


async def test_a_restarted_redis_gets_its_scripts_again_and_has_kept_its_leases(
    server: RedisServer, service: LimiterService
) -> None:
    await ask(service, 1)
    await asyncio.to_thread(server.restart)
    after = await granted_again(service, 2)

    assert after.remaining == 996


async def test_scripts_that_redis_forgot_are_loaded_on_the_way(server: RedisServer, service: LimiterService) -> None:
    await ask(service, 1)
    server.command("SCRIPT", "FLUSH")

    assert isinstance(await ask(service, 2), Grant)


async def test_a_full_redis_refuses_decisions_and_no_more(server: RedisServer, service: LimiterService) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1mb")
    full = await ask(service, 1)
    server.command("CONFIG", "SET", "maxmemory", "0")
    after = await granted_again(service, 2)

    assert isinstance(full, StoreDown)
    assert after.units == 2
