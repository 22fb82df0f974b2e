"""
Limiter module: the service and what it needs, opened and closed together.

Without a Redis URL leases live in this process's memory. With one, a Redis that may evict is refused at the start; one
that cannot be reached is not: the breaker starts open, edges are told that the store is down, and it is looked
at again until it is there. Hazard: a Redis that comes back with another eviction policy stays refused, and the
log says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from services.kit.breaker import Breaker
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.health import Dependencies
from services.kit.redis import OUTAGES, open_redis
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer
from services.limiter.memory import MemoryLeaseStore
from services.limiter.redis_store import GuardedLeaseStore, RedisLeaseStore, read_scripts
from services.limiter.service import LimiterService
from services.limiter.store import LeaseStore


@asynccontextmanager
async def open_limiter(
    *, redis_url: str | None, clock: Clock, tracer: Tracer, metrics: Metrics, dependencies: Dependencies
) -> AsyncIterator[LimiterService]:
    """The limiter, ready to be spoken to. Raises SettingsInvalid for a Redis that may evict."""
    async with AsyncExitStack() as stack:
        store: LeaseStore
        if redis_url is None:
            store = MemoryLeaseStore(clock=clock)
        else:
            store = await stack.enter_async_context(_redis_store(redis_url, clock, dependencies))
        yield LimiterService(store=store, clock=clock, tracer=tracer, metrics=metrics)


@asynccontextmanager
async def _redis_store(url: str, clock: Clock, dependencies: Dependencies) -> AsyncIterator[LeaseStore]:
    async with open_redis(url) as client:
        store = RedisLeaseStore(client=client, clock=clock, scripts=read_scripts())
        breaker = Breaker(name="redis", probe=_probe(store), outages=OUTAGES, dependencies=dependencies)
        guarded = GuardedLeaseStore(store=store, breaker=breaker)
        with suppress(DependencyUnavailable):  # the breaker is open then, and its probe goes on
            await guarded.check()
        async with asyncio.TaskGroup() as tasks:
            probing = tasks.create_task(breaker.run(), name="limiter redis breaker")
            try:
                yield guarded
            finally:
                probing.cancel()


def _probe(store: RedisLeaseStore) -> Callable[[], Awaitable[None]]:
    async def probe() -> None:
        try:
            await store.check()
        except SettingsInvalid as error:
            raise DependencyUnavailable(error.message) from error

    return probe
