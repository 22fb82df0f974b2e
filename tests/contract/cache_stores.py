"""
The stores of the cache that its contract suites run on: in memory, on a Redis server, and on a Redis cluster.

Each lets time pass in its own way: a fake clock is advanced, a server's clock has to be waited for. So ttls in these
suites are tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from services.cache.store.answers import AnswerStore
from services.cache.store.memory import MemoryAnswerStore, MemoryRunStore
from services.cache.store.redis import RedisAnswerStore, RedisRunStore
from services.cache.store.runs import RunStore
from services.kit.breaker import Breaker
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.redis import OUTAGES, RedisClient, open_redis
from tests.fakes.clock import FakeClock
from tests.harness.processes import unused_port
from tests.redis_server import RedisServer

Kind = Literal["memory", "redis", "cluster"]
KINDS: tuple[Kind, ...] = ("memory", "redis", "cluster")


class Stores:
    """One answer store and one run store."""

    def __init__(self, answers: AnswerStore, runs: RunStore, clock: FakeClock | None) -> None:
        self.answers = answers
        self.runs = runs
        self._clock = clock

    async def pass_time(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.advance(seconds)
        else:
            await asyncio.sleep(seconds + 0.01)


class Servers:
    """A plain server and a cluster of one node, started when first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[Kind, RedisServer] = {}

    def url(self, kind: Kind) -> str:
        server = self._running.get(kind)
        if server is None:
            server = self._running[kind] = self._start(kind)
        return f"redis+cluster://127.0.0.1:{server.port}" if kind == "cluster" else server.url

    def stop(self) -> None:
        for server in self._running.values():
            server.stop()

    def _start(self, kind: Kind) -> RedisServer:
        directory = self._directory / kind
        directory.mkdir()
        extra = ["--cluster-enabled", "yes", "--cluster-port", str(unused_port())] if kind == "cluster" else []
        server = RedisServer(directory, *extra)
        server.start()
        if kind == "cluster":
            server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            _wait_for_cluster(server)
        return server


@asynccontextmanager
async def open_stores(kind: Kind, servers: Servers) -> AsyncIterator[Stores]:
    """Empty stores of that kind."""
    if kind == "memory":
        clock = FakeClock()
        answers = MemoryAnswerStore(clock=clock, bytes_max=64 * 2**20)
        yield Stores(answers, MemoryRunStore(clock=clock, bytes_max=64 * 2**20), clock)
        return
    async with open_redis(servers.url(kind), timeout_s=5) as client:
        await client.flushall()
        breaker = breaker_of(client)
        yield Stores(
            RedisAnswerStore(client=client, breaker=breaker), RedisRunStore(client=client, breaker=breaker), None
        )


def breaker_of(client: RedisClient) -> Breaker:
    dependencies = Dependencies(clock=SystemClock())
    return Breaker(name="redis", probe=client.ping, outages=OUTAGES, dependencies=dependencies)


def _wait_for_cluster(server: RedisServer) -> None:
    deadline_s = time.monotonic() + 10
    while b"cluster_state:ok" not in server.command("CLUSTER", "INFO"):
        assert time.monotonic() < deadline_s, "the cluster did not form"
        time.sleep(0.02)
