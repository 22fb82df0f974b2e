"""
The cache as a module: its parts, made from plain arguments, and the tasks they need.

With a Redis URL answers, fill leases and runs are shared by all replicas and survive them; without one they are in
this process' memory. Everything started here is over when the block is left: what is being stored is waited for
(the store's own deadline bounds that), what only watches is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from services.cache.counts import Counts
from services.cache.limits import Limits
from services.cache.service import CacheService
from services.cache.store.answers import AnswerStore
from services.cache.store.memory import MemoryAnswerStore, MemoryRunStore
from services.cache.store.redis import RedisAnswerStore, RedisRunStore
from services.cache.store.runs import RunStore
from services.kit.breaker import Breaker
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable
from services.kit.health import Dependencies
from services.kit.names import MetricName
from services.kit.redis import OUTAGES, open_redis
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer


@asynccontextmanager
async def open_cache(
    *,
    redis_url: str | None,
    instance: str,
    clock: Clock,
    tracer: Tracer,
    metrics: Metrics,
    dependencies: Dependencies,
    limits: Limits | None = None,
) -> AsyncIterator[CacheService]:
    """The cache service, running. `instance` names this replica and is its own."""
    limits = limits or Limits()
    async with AsyncExitStack() as stack:
        client = None if redis_url is None else await stack.enter_async_context(open_redis(redis_url))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running: list[asyncio.Task[None]] = []
        stack.push_async_callback(_stop, running)
        answers: AnswerStore = MemoryAnswerStore(clock=clock, bytes_max=limits.stored_answers_bytes_max)
        runs: RunStore = MemoryRunStore(clock=clock, bytes_max=limits.stored_runs_bytes_max)
        if client is not None:
            breaker = Breaker(name="redis", probe=client.ping, outages=OUTAGES, dependencies=dependencies)
            with suppress(DependencyUnavailable):  # the breaker is open then, so that no request waits to find out
                await breaker.call(client.ping)
            running.append(tasks.create_task(breaker.run()))
            answers = RedisAnswerStore(client=client, breaker=breaker)
            runs = RedisRunStore(client=client, breaker=breaker)
        service = CacheService(
            answers=answers, runs=runs, owner=instance, clock=clock, tracer=tracer, tasks=tasks, limits=limits
        )
        running.append(tasks.create_task(service.run()))
        if isinstance(answers, MemoryAnswerStore):
            metrics.gauge(MetricName.CACHE_SIZE).watch(lambda: answers.used_bytes)
        _watch(metrics, service)
        yield service


async def _stop(running: list[asyncio.Task[None]]) -> None:
    """Stop what only watches, once what was said in this turn of the loop has become a task to wait for."""
    await asyncio.sleep(0)
    for task in running:
        task.cancel()


def _watch(metrics: Metrics, service: CacheService) -> None:
    """Let metrics read what the service counts anyway."""
    counts: Counts = service.counts
    metrics.counter(MetricName.CACHE_REPLIES).watch(lambda: {(name,): count for name, count in counts.lookups.items()})
    metrics.counter(MetricName.CACHE_TAKEOVERS).watch(lambda: counts.takeovers)
    metrics.counter(MetricName.CACHE_STORES).watch(
        lambda: {("kept",): counts.kept, ("unkept",): counts.unkept + counts.oversized}
    )
    metrics.gauge(MetricName.CACHE_FILLS).watch(lambda: len(service.fills))
    metrics.gauge(MetricName.CACHE_SIZE).watch(lambda: service.fills.held_bytes)
