"""What every implementation of Links promises: the same in one process and over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from services.kit.clock import Clock
from services.kit.health import Dependencies
from services.kit.rpc.bounds import DEFAULT_BOUNDS, ITEM_BYTES_MAX, Bounds
from services.kit.rpc.link import Link, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.rpc.replicas import Caller, replicas
from services.kit.rpc.server import RpcServer
from tests.fakes.clock import FakeClock
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, Said, conversation

Talk = AbstractAsyncContextManager[QuietLinks[Said, Said]]


class Connect(Protocol):
    def __call__(
        self, parrot: Parrot, owner: Owner | None, *, replays: bool = False, bounds: Bounds = DEFAULT_BOUNDS
    ) -> Talk: ...


def in_one_process(clock: Clock) -> Connect:
    def connect(parrot: Parrot, owner: Owner | None, *, replays: bool = False, bounds: Bounds = DEFAULT_BOUNDS) -> Talk:
        return local_links(conversation(replays=replays), parrot, owner, clock=clock, bounds=bounds)

    return connect


def over_grpc(clock: Clock) -> Connect:
    @asynccontextmanager
    async def connect(
        parrot: Parrot, owner: Owner | None, *, replays: bool = False, bounds: Bounds = DEFAULT_BOUNDS
    ) -> AsyncIterator[QuietLinks[Said, Said]]:
        server = RpcServer("127.0.0.1:0")
        server.add(conversation(replays=replays), parrot)
        caller = Caller(clock=clock, random=lambda: 0.0, dependencies=Dependencies(clock=clock))
        async with (
            server,
            replicas(
                conversation(replays=replays),
                owner,
                target=f"127.0.0.1:{server.port}",
                caller=caller,
                bounds=bounds,
            ) as links,
        ):
            yield links

    return connect


@pytest.fixture(params=[in_one_process, over_grpc])
def connect(request: pytest.FixtureRequest, clock: FakeClock) -> Connect:
    made: Connect = request.param(clock)
    return made


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def owner() -> Owner:
    return Owner()


async def up(links: QuietLinks[Said, Said], owner: Owner) -> Link[Said]:
    """The one link, once it is up."""
    await owner.until(lambda: links.any() is not None)
    link = links.any()
    assert link is not None
    return link


async def test_items_sent_in_one_turn_arrive_as_one_message_in_order(
    connect: Connect, parrot: Parrot, owner: Owner
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)
        said = [(number, "hello", b"") for number in range(1, 65)]

        taken = [link.send(item) for item in said]
        await owner.until(lambda: len(owner.heard) == 64)

        assert all(taken)
        assert parrot.sessions[0].batches == [said]
        assert owner.batches == [said]


async def test_items_of_many_messages_arrive_in_order(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)
        said = [(number, "hello", b"") for number in range(1, 5_001)]

        for item in said:
            assert link.send(item)
        await owner.until(lambda: len(owner.heard) == 5_000)

        assert parrot.heard == said
        assert owner.heard == said
        assert max(len(batch) for batch in parrot.sessions[0].batches) == 1_024
        assert max(len(batch) for batch in owner.batches) == 1_024


async def test_a_message_is_cut_at_a_mebibyte(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        for number in range(1, 101):
            assert link.send((number, "chunk", b"x" * 50_000))
        await owner.until(lambda: len(owner.heard) == 100)

        assert max(len(batch) for batch in owner.batches) == 1024 * 1024 // 50_029


async def test_an_item_bigger_than_a_message_is_not_taken(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        assert not link.send((1, "huge", b"x" * ITEM_BYTES_MAX))
        assert link.send((2, "big", b"x" * (ITEM_BYTES_MAX - 100)))
        await owner.until(lambda: owner.heard)

        assert [number for number, _, _ in owner.heard] == [2]


async def test_an_answered_key_does_not_expire(
    connect: Connect, parrot: Parrot, owner: Owner, clock: FakeClock
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        link.send((1, "hello", b""), key=1, deadline_s=0.1)
        link.send((2, "hush", b""), key=2, deadline_s=0.1)
        await owner.until(lambda: owner.heard)
        clock.advance(1)
        await owner.until(lambda: owner.expired_keys)

        assert owner.expired_keys == [2]


async def test_a_late_answer_is_still_delivered(
    connect: Connect, parrot: Parrot, owner: Owner, clock: FakeClock
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)
        parrot.gate.clear()

        link.send((1, "hello", b""), key=1, deadline_s=0.1)
        clock.advance(0.11)
        await owner.until(lambda: owner.expired_keys == [1])
        parrot.gate.set()
        await owner.until(lambda: owner.heard)

        assert [event for event, _ in owner.events] == ["opened", "expired", "received"]


async def test_deadlines_expire_in_their_order(
    connect: Connect, parrot: Parrot, owner: Owner, clock: FakeClock
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        link.send((1, "hush", b""), key=1, deadline_s=5)
        link.send((2, "hush", b""), key=2, deadline_s=0.1)
        link.send((3, "hush", b""), key=3)
        clock.advance(0.11)
        await owner.until(lambda: owner.expired_keys)
        first = list(owner.expired_keys)
        clock.advance(60)
        await owner.until(lambda: len(owner.expired_keys) > 1)

        assert first == [2]
        assert owner.expired_keys == [2, 1]


async def test_a_forgotten_key_is_neither_expired_nor_lost(
    connect: Connect, parrot: Parrot, owner: Owner, clock: FakeClock
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        link.send((1, "hush", b""), key=1, deadline_s=0.1)
        link.send((2, "hush", b""), key=2, deadline_s=0.1)
        link.forget(1)
        clock.advance(1)
        await owner.until(lambda: owner.expired_keys)

    assert owner.expired_keys == [2]
    assert owner.lost_keys == []


async def test_a_key_sent_again_has_the_newest_deadline(
    connect: Connect, parrot: Parrot, owner: Owner, clock: FakeClock
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        link.send((1, "hush", b""), key=1, deadline_s=0.1)
        link.send((1, "hush", b""), key=1, deadline_s=0.5)
        link.send((2, "hush", b""), key=2, deadline_s=0.2)
        clock.advance(0.3)
        await owner.until(lambda: owner.expired_keys)
        first = list(owner.expired_keys)
        clock.advance(0.3)
        await owner.until(lambda: len(owner.expired_keys) > 1)

        assert first == [2]
        assert owner.expired_keys == [2, 1]


async def test_a_session_that_waits_holds_back_the_sender(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    bounds = Bounds(items_max=100, bytes_max=1024 * 1024)
    async with connect(parrot, owner, bounds=bounds) as links:
        link = await up(links, owner)
        parrot.gate.clear()

        sent = 0
        for _ in range(500):
            while link.send((sent + 1, "chunk", b"x" * 60_000)):
                sent += 1
            await asyncio.sleep(0)
        parrot.gate.set()
        await owner.until(lambda: len(parrot.heard) >= sent)

        assert 0 < sent < 1_000
        assert [number for number, _, _ in parrot.heard] == list(range(1, sent + 1))


@pytest.mark.parametrize("word", ["refuse", "fail"])
async def test_a_session_that_raises_ends_and_another_is_opened(
    connect: Connect, parrot: Parrot, owner: Owner, word: str
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)

        link.send((1, "hush", b""), key=1)
        link.send((2, word, b""), key=2)
        await owner.until(lambda: owner.count("opened") == 2)
        link.send((3, "hello", b""), key=3)
        await owner.until(lambda: owner.heard)

        assert [event for event, _ in owner.events] == ["opened", "lost", "opened", "received"]
        assert owner.lost_keys == [1, 2]
        assert [session.closed for session in parrot.sessions] == [1, 0]
        assert links.any() is link


async def test_replayed_items_come_again_in_order_after_the_greeting(
    connect: Connect, parrot: Parrot, owner: Owner
) -> None:
    owner.greeting = (0, "it is me", b"")
    async with connect(parrot, owner, replays=True) as links:
        link = await up(links, owner)

        for number, word in ((1, "hush"), (2, "hush"), (3, "hush"), (0, "refuse")):
            link.send((number, word, b""), key=number or None)
        await owner.until(lambda: len(parrot.sessions) == 2 and parrot.sessions[1].batches)

        replayed = parrot.sessions[1].batches[0]
        assert replayed == [(0, "it is me", b""), (1, "hush", b""), (2, "hush", b""), (3, "hush", b"")]
        assert owner.lost_keys == []
        assert owner.count("lost") == 1
    assert owner.lost_keys == [1, 2, 3]


async def test_an_answered_item_is_not_replayed(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, owner, replays=True) as links:
        link = await up(links, owner)

        link.send((1, "hello", b""), key=1)
        link.send((2, "hush", b""), key=2)
        await owner.until(lambda: owner.heard)
        link.send((0, "refuse", b""))
        await owner.until(lambda: len(parrot.sessions) == 2 and parrot.sessions[1].batches)

        assert parrot.sessions[1].batches == [[(2, "hush", b"")]]


async def test_replays_are_bounded(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    bounds = Bounds(items_max=100, bytes_max=1024 * 1024)
    async with connect(parrot, owner, replays=True, bounds=bounds) as links:
        link = await up(links, owner)

        first = [link.send((number, "hush", b""), key=number) for number in range(1, 81)]
        await owner.until(lambda: len(parrot.heard) == 80)
        more = [link.send((number, "hush", b""), key=number) for number in range(81, 121)]

        assert all(first)
        assert more == [True] * 20 + [False] * 20


async def test_a_session_that_replies_without_bound_is_cut_off(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, owner, bounds=DEFAULT_BOUNDS) as links:
        link = await up(links, owner)

        link.send((1, "flood", b""), key=1)
        await owner.until(lambda: owner.count("opened") == 2)

        assert owner.lost_keys == [1]
        assert parrot.sessions[0].closed == 1


async def test_what_was_sent_before_leaving_arrives_and_the_session_is_closed(
    connect: Connect, parrot: Parrot, owner: Owner
) -> None:
    async with connect(parrot, owner) as links:
        link = await up(links, owner)
        said = [(number, "hush", b"") for number in range(1, 3_000)]
        for item in said:
            link.send(item, key=item[0])

    assert parrot.heard == said
    assert parrot.sessions[0].closed == 1
    assert owner.lost_keys == [item[0] for item in said]
    assert not link.is_up
    assert not link.send((1, "hello", b""))


async def test_nothing_is_opened_before_somebody_listens(connect: Connect, parrot: Parrot, owner: Owner) -> None:
    async with connect(parrot, None) as links:
        await owner.until(lambda: True)
        before = (links.any(), links.for_key(b"k"), list(links.all()), list(parrot.sessions))

        links.listen(owner)
        link = await up(links, owner)

        assert before == (None, None, [], [])
        assert link.is_up
        assert links.for_key(b"k") is link
        assert list(links.all()) == [link]


async def test_leaving_without_having_listened_is_nothing(connect: Connect, parrot: Parrot) -> None:
    async with connect(parrot, None):
        pass

    assert parrot.sessions == []
