"""
Cache replicas and the edges that use them, in one process: real services, real answers, local links between them.

An edge's links choose the replica by key as the real ones do, and a test may change which replicas an edge knows, as
a rollout does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from services.cache.limits import Limits
from services.cache.service import CacheService
from services.cache.store.answers import AnswerStore
from services.cache.store.memory import MemoryAnswerStore, MemoryRunStore
from services.cache.store.runs import RunStore
from services.contracts.cache.conversation import EXCHANGE
from services.contracts.cache.values import CacheCall, CacheReply, Fill, Hit, Join, JoinChunk, JoinEnd, JoinHead, Miss
from services.edge.answers.answers import Answers
from services.edge.answers.recall import Recall
from services.kit.clock import Clock, SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.link import Link, Links, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.rpc.rendezvous import Rendezvous
from services.kit.rpc.replicas import Caller, replicas
from services.kit.telemetry.tracing import NoTracer, Tracer

KEY = b"k" * 32
HEADERS = ((b"Content-Type", b"application/json"),)
ENTRY_BYTES_MAX = 1_048_576


class SomeReplicas:
    """`Links` to several replicas, each reached by a local link."""

    def __init__(self, links: Mapping[str, QuietLinks[CacheCall, CacheReply]]) -> None:
        self._links = links
        self.known = set(links)

    def any(self) -> Link[CacheCall] | None:
        return next((link for name in sorted(self.known) if (link := self._links[name].any()) is not None), None)

    def for_key(self, key: bytes) -> Link[CacheCall] | None:
        owner = Rendezvous(self.known).owner(key)
        return None if owner is None else self._links[owner].any()

    def all(self) -> Sequence[Link[CacheCall]]:
        return [link for name in sorted(self.known) for link in self._links[name].all()]


class Edge:
    """One edge's `Answers`, and the links they use."""

    def __init__(self, answers: Answers, links: Links[CacheCall]) -> None:
        self.answers = answers
        self.links = links

    def recall(self, key: bytes = KEY, *, entry_bytes_max: int = ENTRY_BYTES_MAX, traceparent: str = "") -> Recall:
        return self.answers.recall(key, entry_bytes_max=entry_bytes_max, traceparent=traceparent)


class Provider:
    """Answers with the same chunks each time, slowly enough to be joined, and counts its calls."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks or (b'{"answer":', b'"yes"', b"}")
        self.calls = 0

    async def answer(self) -> AsyncIterator[bytes]:
        self.calls += 1
        for chunk in self.chunks:
            await settle()
            yield chunk


@asynccontextmanager
async def cache_replica(
    name: str,
    *,
    clock: Clock,
    answers: AnswerStore | None = None,
    runs: RunStore | None = None,
    limits: Limits | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[CacheService]:
    """One replica of the cache service, running."""
    async with asyncio.TaskGroup() as tasks:
        service = CacheService(
            answers=answers or MemoryAnswerStore(clock=clock, bytes_max=2**26),
            runs=runs or MemoryRunStore(clock=clock, bytes_max=2**26),
            owner=name,
            clock=clock,
            tracer=tracer or NoTracer(),
            tasks=tasks,
            limits=limits,
        )
        running = tasks.create_task(service.run())
        yield service
        await asyncio.sleep(0)
        running.cancel()


@asynccontextmanager
async def edge_of(services: Mapping[str, CacheService], *, clock: Clock) -> AsyncIterator[Edge]:
    """An edge in the same process as these replicas, with a link to each."""
    async with AsyncExitStack() as stack:
        links = {
            name: await stack.enter_async_context(local_links(EXCHANGE, service, clock=clock))
            for name, service in services.items()
        }
        known = SomeReplicas(links)
        answers = Answers(links=known, clock=clock)
        for link in links.values():
            link.listen(answers)
        await settle()
        yield Edge(answers, known)
        answers.close()


@asynccontextmanager
async def edge_over_grpc(target: str) -> AsyncIterator[Edge]:
    """An edge with a stream to each replica of a target, all of them up."""
    clock = SystemClock()
    caller = Caller(clock=clock, random=random.random, dependencies=Dependencies(clock=clock))
    async with replicas(EXCHANGE, target=target, caller=caller) as links:
        answers = Answers(links=links, clock=clock)
        links.listen(answers)
        async with asyncio.timeout(10):
            while not links.all() or not all(link.is_up for link in links.all()):
                await asyncio.sleep(0.01)
        yield Edge(answers, links)
        answers.close()


async def ask(recall: Recall, provider: Provider) -> bytes:
    """What a request gets that goes through the cache as the pipeline does; b"broken" for a broken answer."""
    first = await recall.first
    if isinstance(first, Hit):
        return b"".join(first.chunks)
    if isinstance(first, Join):
        following = await recall.next()
        if isinstance(following, JoinHead):
            return await _follow(recall)
        first = following if isinstance(following, Fill) else Miss(recall.call)
    return await _fetch(recall, provider)


async def _follow(recall: Recall) -> bytes:
    got = b""
    while True:
        item = await recall.next()
        if isinstance(item, JoinChunk):
            got += item.chunk
        else:
            assert isinstance(item, JoinEnd)
            return got if item.outcome == "whole" else b"broken"


async def _fetch(recall: Recall, provider: Provider) -> bytes:
    recall.head(200, HEADERS, 60)
    got = b""
    async for chunk in provider.answer():
        recall.chunk(chunk)
        got += chunk
    recall.end("whole", '{"usage":1}')
    return got


async def settle(turns: int = 20) -> None:
    """Let everything that is ready happen."""
    for _ in range(turns):
        await asyncio.sleep(0)
