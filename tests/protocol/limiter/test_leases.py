"""Leases over gRPC: four edges' ledgers, two limiters, one Redis, all real."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.contracts.limiter.conversation import LEASE
from services.contracts.limiter.values import Bucket
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted, Decision
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.local import local_links
from services.kit.rpc.replicas import Caller, replicas
from services.kit.rpc.server import RpcServer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.limiter.module import open_limiter
from tests.redis_server import RedisServer

CLOCK = SystemClock()
DAY_S = 86_400


@dataclass
class Field:
    """Everything that runs."""

    redis: RedisServer
    servers: list[RpcServer]
    ledgers: list[LeaseLedger]

    async def request(self, ledger: LeaseLedger, bucket: Bucket, limit: int) -> str:
        """One request: decided, and its head written a moment later."""
        holding = ledger.holding(bucket, limit)
        assert holding is not None
        spent = ledger.spend((holding,))
        decision: Decision | None = spent[0] if spent else ledger.refusal(holding)
        if decision is None:
            decision = await ledger.wait(holding)
        if isinstance(decision, Admitted):
            await asyncio.sleep(0)
            ledger.confirm(decision)
        return type(decision).__name__

    async def requests(self, count: int, bucket: Bucket, limit: int) -> Counter[str]:
        """So many at once, in turn on all edges."""
        edges = itertools.cycle(self.ledgers)
        return Counter(await asyncio.gather(*[self.request(next(edges), bucket, limit) for _ in range(count)]))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@asynccontextmanager
async def limiter_server(redis: RedisServer) -> AsyncIterator[RpcServer]:
    settings = {"clock": CLOCK, "tracer": NoTracer(), "metrics": Metrics()}
    async with open_limiter(redis_url=redis.url, dependencies=Dependencies(clock=CLOCK), **settings) as service:  # type: ignore[arg-type]  # as the names say
        server = RpcServer("127.0.0.1:0")
        server.add(LEASE, service)
        async with server:
            yield server


@asynccontextmanager
async def edge(name: str, target: str) -> AsyncIterator[LeaseLedger]:
    caller = Caller(clock=CLOCK, random=lambda: 0.5, dependencies=Dependencies(clock=CLOCK))
    async with replicas(LEASE, target=target, caller=caller) as links:
        ledger = LeaseLedger(edge=name, links=links, clock=CLOCK)
        links.listen(ledger)
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(ledger.run())
            yield ledger
            await ledger.drain()
            ticking.cancel()


@pytest.fixture
async def field(redis: RedisServer) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(limiter_server(redis)) for _ in range(2)]
        target = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        ledgers = [await stack.enter_async_context(edge(f"edge-{number}", target)) for number in range(4)]
        yield Field(redis, servers, ledgers)


@pytest.mark.parametrize(("technique", "window_s"), [("fixed", DAY_S), ("sliding", 600)])
async def test_three_thousand_at_once_on_four_edges_admit_what_the_limit_allows(
    field: Field, technique: str, window_s: int
) -> None:
    bucket = Bucket("local", "main", "calls", "fixed" if technique == "fixed" else "sliding", window_s)
    outcomes = await field.requests(3000, bucket, 1000)

    assert outcomes["Unavailable"] == 0
    assert 980 <= outcomes["Admitted"] <= 1000


async def test_what_edges_do_not_use_they_give_back_to_each_other(field: Field) -> None:
    bucket = Bucket("local", "main", "calls", "fixed", DAY_S)
    admitted = 0
    async with asyncio.timeout(10):
        while (outcomes := await field.requests(8, bucket, 40))["Admitted"] or admitted < 40:
            admitted += outcomes["Admitted"]
            await asyncio.sleep(0.02)

    assert admitted == 40


async def test_a_frozen_redis_keeps_nobody_waiting_and_is_used_again_after_the_thaw(field: Field) -> None:
    bucket = Bucket("local", "main", "calls", "fixed", DAY_S)
    await field.requests(8, bucket, 1_000_000)
    field.redis.freeze()
    await asyncio.sleep(1.0)
    began = time.monotonic()
    frozen = await field.requests(40, bucket, 1_000_000)
    took_s = time.monotonic() - began
    field.redis.thaw()
    async with asyncio.timeout(3):
        while (await field.requests(8, bucket, 1_000_000))["Unavailable"]:
            await asyncio.sleep(0.05)

    assert frozen == {"Unavailable": 40}
    assert took_s < 0.5


async def test_one_limiter_that_leaves_is_not_missed(field: Field) -> None:
    bucket = Bucket("local", "main", "calls", "fixed", DAY_S)
    await field.requests(8, bucket, 1000)
    leaving = asyncio.create_task(field.servers[0].__aexit__(None, None, None))
    outcomes = await field.requests(400, bucket, 1000)
    await leaving

    assert outcomes == {"Admitted": 400}


async def test_in_one_process_the_same_ledger_and_service_speak_without_a_network() -> None:
    metrics, dependencies = Metrics(), Dependencies(clock=CLOCK)
    bucket = Bucket("local", "main", "calls", "fixed", DAY_S)
    async with (
        open_limiter(
            redis_url=None, clock=CLOCK, tracer=NoTracer(), metrics=metrics, dependencies=dependencies
        ) as service,
        local_links(LEASE, service, clock=CLOCK) as links,
        asyncio.TaskGroup() as tasks,
    ):
        ledger = LeaseLedger(edge="edge", links=links, clock=CLOCK)
        links.listen(ledger)
        ticking = tasks.create_task(ledger.run())
        outcomes = [await Field.request(Field(None, [], []), ledger, bucket, 5) for _ in range(7)]  # type: ignore[arg-type]  # needs nothing else
        await ledger.drain()
        ticking.cancel()

    assert Counter(outcomes) == {"Admitted": 5, "Refused": 2}
