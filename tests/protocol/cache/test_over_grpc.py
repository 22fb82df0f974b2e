"""Edges and cache replicas over real gRPC: what holds in one process holds between several."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.cache.store.memory import MemoryAnswerStore
from services.contracts.cache.conversation import EXCHANGE
from services.contracts.cache.values import Fill, Hit, Join, JoinChunk, JoinEnd, JoinHead, Miss
from services.edge.answers.recall import Recall
from services.kit.clock import SystemClock
from services.kit.rpc.server import RpcServer
from tests.harness.caches import HEADERS, KEY, Edge, Provider, ask, cache_replica, edge_over_grpc

CLOCK = SystemClock()


class Site:
    """Replicas behind gRPC that share a store, and edges that know all of them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._store = MemoryAnswerStore(clock=CLOCK, bytes_max=2**28)
        self._addresses: list[str] = []

    async def add_replica(self) -> None:
        name = f"cache-{len(self._addresses)}"
        service = await self._stack.enter_async_context(cache_replica(name, clock=CLOCK, answers=self._store))
        server = RpcServer("127.0.0.1:0")
        server.add(EXCHANGE, service)
        await self._stack.enter_async_context(server)
        self._addresses.append(f"127.0.0.1:{server.port}")

    async def edge(self) -> Edge:
        return await self._stack.enter_async_context(edge_over_grpc(",".join(self._addresses)))


class ReplicaProcess:
    """A replica that can be frozen and killed."""

    def __init__(self) -> None:
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.protocol.cache.replica_process", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        port = await asyncio.wait_for(self._process.stdout.readline(), 15)
        self.address = f"127.0.0.1:{int(port)}"

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def process() -> AsyncIterator[ReplicaProcess]:
    running = ReplicaProcess()
    await running.start()
    yield running
    await running.kill()


@pytest.mark.parametrize("replicas", [1, 2])
async def test_a_hundred_identical_requests_at_two_edges_call_the_provider_once(
    stack: AsyncExitStack, replicas: int
) -> None:
    site, provider = Site(stack), Provider()
    for _ in range(replicas):
        await site.add_replica()
    edges = [await site.edge(), await site.edge()]

    answers = await asyncio.gather(*[ask(edges[number % 2].recall(), provider) for number in range(100)])

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_a_fill_is_found_at_another_edge_within_a_tenth_of_a_second(stack: AsyncExitStack) -> None:
    site = Site(stack)
    await site.add_replica()
    one, other = await site.edge(), await site.edge()
    took_s = []

    for number in range(3):
        key = bytes([number]) * 32
        await ask(one.recall(key), Provider())
        ended_at_s = time.monotonic()
        while not isinstance(await (recall := other.recall(key)).first, Hit):
            recall.leave()
        took_s.append(time.monotonic() - ended_at_s)

    assert min(took_s) < 0.1


async def test_an_answer_of_many_megabytes_is_relayed_stored_and_found(stack: AsyncExitStack) -> None:
    site = Site(stack)
    await site.add_replica()
    one, other = await site.edge(), await site.edge()
    provider = Provider(*[bytes([number]) * 500_000 for number in range(16)])
    whole = b"".join(provider.chunks)
    requests = [edge.recall(entry_bytes_max=2**24) for edge in (one, one, other)]

    joined = await asyncio.gather(*[ask(request, provider) for request in requests])
    found = await other.recall(entry_bytes_max=2**24).first

    assert provider.calls == 1
    assert set(joined) == {whole}
    assert isinstance(found, Hit)
    assert b"".join(found.chunks) == whole


async def test_when_an_edge_is_gone_its_fill_goes_to_one_who_waits(stack: AsyncExitStack) -> None:
    site, provider = Site(stack), Provider()
    await site.add_replica()
    other = await site.edge()
    async with AsyncExitStack() as doomed:
        site._stack = doomed
        filler = (await site.edge()).recall()
        await filler.first
        waiting = [asyncio.create_task(ask(other.recall(), provider)) for _ in range(5)]
        await asyncio.sleep(0.05)

    answers = await asyncio.gather(*waiting)

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_a_silent_filler_is_doubted_by_one_at_the_other_edge(stack: AsyncExitStack) -> None:
    site, provider = Site(stack), Provider()
    for _ in range(2):
        await site.add_replica()
    silent, other = await site.edge(), await site.edge()
    filler = silent.recall()
    await filler.first
    waiting = [asyncio.create_task(ask(edge.recall(), provider)) for edge in (silent, other) for _ in range(5)]

    began_s = time.monotonic()
    answers = await asyncio.gather(*waiting)
    took_s = time.monotonic() - began_s
    filler.leave()

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}
    assert 1.9 < took_s < 3


async def test_when_a_replica_is_killed_nobody_waits_for_it(process: ReplicaProcess, stack: AsyncExitStack) -> None:
    edge = await stack.enter_async_context(edge_over_grpc(process.address))
    filler, follower = await _filler_and_follower(edge)
    other_filler, waiting = edge.recall(b"o" * 32), edge.recall(b"o" * 32)
    await other_filler.first
    assert isinstance(await waiting.first, Join)

    await process.kill()
    killed_at_s = time.monotonic()
    without_bytes = await waiting.next(timeout_s=2)
    with_bytes = await _last(follower)
    after = await edge.recall(b"a" * 32).first
    took_s = time.monotonic() - killed_at_s
    filler.end("whole")

    assert without_bytes == Miss(waiting.call, is_degraded=True)
    assert with_bytes == JoinEnd((follower.call,), "failed", "")
    assert isinstance(after, Miss)
    assert took_s < 1
    assert edge.answers.near(KEY) is not None


async def test_an_edge_that_was_held_up_itself_still_hears_what_was_said_in_time(
    process: ReplicaProcess, stack: AsyncExitStack
) -> None:
    edge = await stack.enter_async_context(edge_over_grpc(process.address))
    firsts = []

    for number in range(3):
        recall = edge.recall(bytes([number]) * 32)
        await asyncio.sleep(0.001)
        time.sleep(0.2)
        firsts.append(await recall.first)
        recall.leave()

    assert [type(first) for first in firsts] == [Fill] * 3


async def test_a_replica_that_pauses_costs_a_request_a_tenth_of_a_second_and_breaks_no_answer(
    process: ReplicaProcess, stack: AsyncExitStack
) -> None:
    edge = await stack.enter_async_context(edge_over_grpc(process.address))
    filler, follower = await _filler_and_follower(edge)

    process.freeze()
    frozen_at_s = time.monotonic()
    during = await edge.recall(b"a" * 32).first
    waited_s = time.monotonic() - frozen_at_s
    filler.chunk(b"b")
    await asyncio.sleep(0.4)
    filler.chunk(b"c")
    process.thaw()
    filler.end("whole")
    items = [await follower.next(timeout_s=5) for _ in range(3)]

    assert isinstance(during, Miss)
    assert during.is_degraded
    assert waited_s < 0.2
    assert b"".join(item.chunk for item in items if isinstance(item, JoinChunk)) == b"bc"
    assert items[-1] == JoinEnd((follower.call,), "whole", "")


async def test_a_replica_that_stays_frozen_breaks_what_hangs_on_it(
    process: ReplicaProcess, stack: AsyncExitStack
) -> None:
    edge = await stack.enter_async_context(edge_over_grpc(process.address))
    _, follower = await _filler_and_follower(edge)

    process.freeze()
    frozen_at_s = time.monotonic()
    await edge.recall(b"a" * 32).first
    last = await _last(follower)

    assert last == JoinEnd((follower.call,), "failed", "")
    assert time.monotonic() - frozen_at_s < 4


async def _filler_and_follower(edge: Edge) -> tuple[Recall, Recall]:
    """One request that fills, and one that has its first byte."""
    filler, follower = edge.recall(), edge.recall()
    await filler.first
    assert isinstance(await follower.first, Join)
    filler.head(200, HEADERS, 60)
    filler.chunk(b"a")
    assert isinstance(await follower.next(timeout_s=2), JoinHead)
    assert isinstance(await follower.next(timeout_s=2), JoinChunk)
    return filler, follower


async def _last(recall: Recall) -> object:
    while isinstance(item := await recall.next(timeout_s=5), JoinHead | JoinChunk):
        pass
    return item
