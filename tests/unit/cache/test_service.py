"""The cache with its edges: one provider call for many requests, whoever leaves, fails or falls silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.cache.limits import Limits
from services.cache.service import CacheService
from services.cache.store.answers import AnswerStore
from services.cache.store.memory import MemoryAnswerStore
from services.contracts.cache.values import Fill, Hit, Join, JoinChunk, JoinEnd, JoinHead, Miss
from services.edge.answers.recall import Recall
from services.kit.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fakes.tracer import NotingTracer
from tests.harness.caches import (
    ENTRY_BYTES_MAX,
    HEADERS,
    KEY,
    Edge,
    Provider,
    SomeReplicas,
    ask,
    cache_replica,
    edge_of,
    settle,
)


class Site:
    """Two edges, and replicas that share a store."""

    def __init__(self, stack: AsyncExitStack, *, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.store: AnswerStore = MemoryAnswerStore(clock=self.clock, bytes_max=2**28)
        self.replicas: dict[str, CacheService] = {}
        self.limits = limits
        self._stack = stack

    async def add_replica(self, name: str) -> CacheService:
        opening = cache_replica(name, clock=self.clock, answers=self.store, limits=self.limits)
        self.replicas[name] = await self._stack.enter_async_context(opening)
        return self.replicas[name]

    async def edge(self) -> Edge:
        return await self._stack.enter_async_context(edge_of(self.replicas, clock=self.clock))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for replica in self.replicas.values():
            replica.fills.tick()


def know(edge: Edge, *names: str) -> None:
    """The edge knows these replicas only, as during a rollout."""
    assert isinstance(edge.links, SomeReplicas)
    edge.links.known = set(names)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def site(stack: AsyncExitStack) -> Site:
    made = Site(stack)
    await made.add_replica("a")
    return made


@pytest.mark.parametrize("replicas", [1, 2])
async def test_a_hundred_identical_requests_at_two_edges_call_the_provider_once(
    stack: AsyncExitStack, replicas: int
) -> None:
    site, provider = Site(stack), Provider()
    for name in "ab"[:replicas]:
        await site.add_replica(name)
    edges = [await site.edge(), await site.edge()]

    answers = await asyncio.gather(*[ask(edges[number % 2].recall(), provider) for number in range(100)])

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_different_questions_are_asked_apart(site: Site) -> None:
    edge, provider = await site.edge(), Provider()

    await asyncio.gather(*[ask(edge.recall(bytes([number]) * 32), provider) for number in range(10)])

    assert provider.calls == 10


async def test_a_fill_is_near_at_once_and_at_another_edge_from_then_on(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler = one.recall()
    await filler.first
    filler.head(200, HEADERS, 60, "{}")
    filler.chunk(b"a")
    filler.chunk(b"b")
    filler.end("whole", '{"usage":1}')

    near = one.answers.near(KEY)
    found = await other.recall().first

    assert near == Hit(0, 200, HEADERS, (b"a", b"b"), '{"usage":1}', 60)
    assert isinstance(found, Hit)
    assert (found.status, found.headers, found.chunks, found.facts) == (200, HEADERS, (b"a", b"b"), '{"usage":1}')


async def test_an_answer_said_in_one_item_reaches_who_joined_and_who_asks_later(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler = one.recall()
    await filler.first
    joiner = other.recall()
    await joiner.first

    filler.whole(200, HEADERS, [b"a", b"b"], 60, '{"usage":1}')
    joined = [await joiner.next() for _ in range(4)]
    later = await (await site.edge()).recall().first

    call = (joiner.call,)
    assert joined[0] == JoinHead(call, 200, HEADERS, '{"usage":1}')
    assert joined[1:] == [JoinChunk(call, b"a"), JoinChunk(call, b"b"), JoinEnd(call, "whole", '{"usage":1}')]
    assert isinstance(later, Hit)
    assert (later.headers, later.chunks) == (HEADERS, (b"a", b"b"))


async def test_a_hit_is_near_from_then_on_for_the_rest_of_its_ttl(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    await ask(one.recall(), Provider())
    await settle()
    site.clock.advance(20)
    await other.recall().first

    before = other.answers.near(KEY)
    site.clock.advance(39)
    still = other.answers.near(KEY)
    site.clock.advance(1)

    assert before is not None
    assert still is not None
    assert other.answers.near(KEY) is None


async def test_a_joiner_sees_each_chunk_as_it_comes(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler, joiner = one.recall(), other.recall()
    await filler.first
    first = await joiner.first
    filler.head(200, HEADERS, 60, '{"model":"m"}')
    seen = []

    for chunk in (b"a", b"b"):
        filler.chunk(chunk)
        seen.append(await joiner.next())
        if isinstance(seen[-1], JoinHead):
            seen.append(await joiner.next())
    filler.end("whole", "{}")
    seen.append(await joiner.next())

    assert isinstance(first, Join)
    call = (joiner.call,)
    assert seen == [
        JoinHead(call, 200, HEADERS, '{"model":"m"}'),
        JoinChunk(call, b"a"),
        JoinChunk(call, b"b"),
        JoinEnd(call, "whole", "{}"),
    ]


async def test_when_the_fillers_edge_is_lost_before_its_head_one_joiner_fills(site: Site) -> None:
    other, provider = await site.edge(), Provider()
    async with edge_of(site.replicas, clock=site.clock) as doomed:
        await doomed.recall().first
        waiting = [asyncio.create_task(ask(other.recall(), provider)) for _ in range(10)]
        await settle()

    answers = await asyncio.gather(*waiting)

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_when_the_fillers_edge_is_lost_in_the_middle_joiners_break_and_the_next_fills(site: Site) -> None:
    other, provider = await site.edge(), Provider()
    async with edge_of(site.replicas, clock=site.clock) as doomed:
        filler = doomed.recall()
        await filler.first
        waiting = [asyncio.create_task(ask(other.recall(), provider)) for _ in range(10)]
        await settle()
        filler.head(200, HEADERS, 60)
        filler.chunk(b"half")
        await settle()

    broken = await asyncio.gather(*waiting)
    after = await ask(other.recall(), provider)

    assert set(broken) == {b"broken"}
    assert after == b'{"answer":"yes"}'
    assert provider.calls == 1


async def test_when_an_edge_with_many_requests_is_lost_none_of_them_takes_over(site: Site) -> None:
    other, provider = await site.edge(), Provider()
    async with edge_of(site.replicas, clock=site.clock) as doomed:
        for _ in range(20):
            await doomed.recall().first
        waiting = [asyncio.create_task(ask(other.recall(), provider)) for _ in range(10)]
        await settle()

    answers = await asyncio.gather(*waiting)

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_a_filler_that_answers_uncacheably_hands_over(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler, joiner = one.recall(), other.recall()
    await filler.first
    await joiner.first

    filler.end("uncacheable")

    assert await joiner.next() == Fill(joiner.call)


async def test_a_silent_filler_is_doubted_after_two_seconds(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler, joiners = one.recall(), [other.recall() for _ in range(3)]
    await filler.first
    await settle()

    site.pass_time(2.0)
    await settle()

    assert [joiner.role for joiner in joiners] == ["filling", "joining", "joining"]


async def test_a_joiner_that_leaves_takes_nothing_with_it(site: Site) -> None:
    edge, provider = await site.edge(), Provider()
    requests = [asyncio.create_task(ask(edge.recall(), provider)) for _ in range(3)]
    leaver = edge.recall()
    await leaver.first

    leaver.leave()
    answers = await asyncio.gather(*requests)

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_a_filler_knows_whether_others_wait(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler = one.recall()
    await filler.first
    alone = filler.has_joiners
    joiner = other.recall()
    await joiner.first
    await settle()
    watched, left = filler.has_joiners, []
    filler.when_unwatched(lambda: left.append("nobody waits"))

    joiner.leave()
    await settle()

    assert (alone, watched, filler.has_joiners) == (False, True, False)
    assert left == ["nobody waits"]


async def test_a_filler_without_joiners_is_told_at_once_that_nobody_waits(site: Site) -> None:
    filler = (await site.edge()).recall()
    await filler.first
    left: list[str] = []

    filler.when_unwatched(lambda: left.append("nobody waits"))

    assert left == ["nobody waits"]


async def test_a_fill_goes_on_for_others_when_its_client_has_left(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    filler, joiner = one.recall(), other.recall()
    await filler.first
    waiting = asyncio.create_task(ask(joiner, Provider()))
    await settle()

    assert filler.has_joiners
    filler.head(200, HEADERS, 60)
    filler.chunk(b"for the others")
    filler.end("whole")

    assert await waiting == b"for the others"


async def test_edges_that_know_different_replicas_call_the_provider_once_each(stack: AsyncExitStack) -> None:
    site, provider = Site(stack), Provider()
    await site.add_replica("a")
    await site.add_replica("b")
    edges = [await site.edge(), await site.edge()]
    know(edges[0], "a")
    know(edges[1], "b")
    filler, foreigners = edges[0].recall(), [edges[1].recall() for _ in range(5)]
    await filler.first

    answers = await asyncio.gather(*[ask(foreigner, provider) for foreigner in foreigners])

    assert provider.calls == 1
    assert set(answers) == {b'{"answer":"yes"}'}


async def test_a_replica_waits_a_little_for_anothers_fill_and_finds_its_answer(stack: AsyncExitStack) -> None:
    site = Site(stack)
    await site.add_replica("a")
    await site.add_replica("b")
    edges = [await site.edge(), await site.edge()]
    know(edges[0], "a")
    know(edges[1], "b")
    filler = edges[0].recall()
    await filler.first
    foreigner = edges[1].recall()
    await settle()

    filler.head(200, HEADERS, 60)
    filler.end("whole")

    assert isinstance(await foreigner.first, Hit)
    assert site.replicas["b"].counts.foreign_waits == 1


async def test_an_answer_too_large_for_one_message_is_put_together_again(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    chunks = [bytes([number]) * 700_000 for number in range(5)]
    filler = one.recall(entry_bytes_max=10_000_000)
    await filler.first
    filler.head(200, HEADERS, 60)
    for chunk in chunks:
        filler.chunk(chunk)
        await settle(2)
    filler.end("whole")
    await settle()

    asking = other.recall(entry_bytes_max=10_000_000).first
    while not asking.done():
        site.clock.advance(0.01)
        await asyncio.sleep(0.001)
    found = await asking

    assert isinstance(found, Hit)
    assert list(found.chunks) == chunks
    assert not found.is_partial


async def test_a_flood_of_large_hits_does_not_break_the_stream(site: Site) -> None:
    one, other = await site.edge(), await site.edge()
    keys = [bytes([number]) * 32 for number in range(60)]
    for key in keys:
        filler = one.recall(key)
        await filler.first
        filler.head(200, HEADERS, 60)
        filler.chunk(bytes(ENTRY_BYTES_MAX))
        filler.end("whole")
        await settle(4)

    asked = [other.recall(key) for key in keys]
    answers = [recall.first for recall in asked]
    while not all(answer.done() for answer in answers):
        site.clock.advance(0.001)
        await asyncio.sleep(0.001)

    assert {type(answer.result()) for answer in answers} <= {Hit, Miss}
    assert sum(isinstance(answer.result(), Hit) for answer in answers) >= 8
    assert other.links.any() is not None


async def test_calls_of_one_edge_are_bounded(stack: AsyncExitStack) -> None:
    site = Site(stack, limits=Limits(calls_max=2))
    await site.add_replica("a")
    edge = await site.edge()
    recalls = [edge.recall(bytes([number]) * 32) for number in range(3)]

    firsts = [await recall.first for recall in recalls]

    assert [type(first) for first in firsts] == [Fill, Fill, Miss]


async def test_runs_are_kept_and_read(site: Site) -> None:
    edge = await site.edge()
    runs = edge.answers.runs
    runs.append("local/main/1", 0, [b"a", b"b"], is_end=False)
    runs.append("local/main/1", 2, [b"c"], is_end=True)

    page = await runs.read("local/main/1", 1)
    unknown = await runs.read("local/other/1", 0)

    assert page is not None
    assert unknown is not None
    assert (page.first_index, page.events, page.is_end) == (1, (b"b", b"c"), True)
    assert unknown.is_unknown


async def test_nothing_is_left_when_all_is_over(site: Site) -> None:
    edges = [await site.edge(), await site.edge()]
    for round_number in range(3):
        key = bytes([round_number]) * 32
        await asyncio.gather(*[ask(edge.recall(key), Provider()) for edge in edges for _ in range(20)])
    await settle()

    replica = site.replicas["a"]
    assert (len(replica.fills), replica.fills.held_bytes) == (0, 0)
    assert [(edge.answers.recalls, edge.answers.held.used_bytes) for edge in edges] == [(0, 0), (0, 0)]


async def test_a_thousand_joins_cost_little(site: Site) -> None:
    edge, provider = await site.edge(), Provider(*[b"data: x\n\n"] * 50)
    began_s = time.monotonic()

    await asyncio.gather(*[ask(edge.recall(), provider) for _ in range(1_000)])

    assert provider.calls == 1
    assert time.monotonic() - began_s < 5


async def test_silence_is_noticed_by_the_services_own_tasks(stack: AsyncExitStack) -> None:
    clock = SystemClock()
    replica = await stack.enter_async_context(
        cache_replica("a", clock=clock, limits=Limits(silent_s=0.05, tick_s=0.01))
    )
    edge = await stack.enter_async_context(edge_of({"a": replica}, clock=clock))
    silent, joiner = edge.recall(), edge.recall()
    await silent.first

    assert isinstance(await joiner.first, Join)
    assert isinstance(await joiner.next(timeout_s=1), Fill)


async def test_sampled_lookups_and_fills_have_spans(stack: AsyncExitStack) -> None:
    tracer, clock = NotingTracer(), FakeClock()
    replica = await stack.enter_async_context(cache_replica("a", clock=clock, tracer=tracer))
    edge = await stack.enter_async_context(edge_of({"a": replica}, clock=clock))

    filler, unsampled = edge.recall(traceparent="00-one-01"), edge.recall()
    await filler.first
    joiner = edge.recall(traceparent="00-two-01")
    await joiner.first
    await _answer(filler)
    await edge.recall(traceparent="00-three-01").first
    unsampled.leave()

    seen = [(span.name, span.parent, span.attributes, span.is_ended) for span in tracer.spans]
    assert seen == [
        ("cache.lookup", "00-one-01", {"narrows.cache.reply": "fill"}, True),
        ("cache.lookup", "00-two-01", {"narrows.cache.reply": "join"}, True),
        ("cache.fill", "00-one-01", {"narrows.cache.reply": "whole"}, True),
        ("cache.lookup", "00-three-01", {"narrows.cache.reply": "hit"}, True),
    ]


async def _answer(filler: Recall) -> None:
    filler.head(200, HEADERS, 60)
    filler.chunk(b"a")
    filler.end("whole")
    await settle()
