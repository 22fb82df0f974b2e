"""Recalls over a link that a test opens, breaks and answers on: whatever happens to the cache, a request goes on."""

from __future__ import annotations

import asyncio

import pytest

from services.contracts.cache.values import (
    Fill,
    FillChunks,
    FillEnd,
    FillHead,
    Hit,
    HitPart,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Leave,
    Lookup,
    Miss,
    Watched,
)
from services.edge.answers.answers import LOOKUP_S_MAX
from services.edge.answers.held import BEHIND_BYTES_MIN
from tests.unit.edge.answers.desk import HEADERS, KEY, Desk, begin, joined


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_question_is_asked_once_and_waited_for_a_tenth_of_a_second(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7, traceparent="00-a-b-01")

    assert desk.link.sent == [Lookup(recall.call, KEY, 7, "00-a-b-01")]
    assert desk.link.owed == {recall.call: LOOKUP_S_MAX}


async def test_without_a_replica_a_request_goes_on_at_once(desk: Desk) -> None:
    desk.link.is_up = False

    recall = desk.answers.recall(KEY, entry_bytes_max=7)

    assert await recall.first == Miss(recall.call, is_degraded=True)
    assert desk.answers.recalls == 0


async def test_a_cache_without_its_store_is_down_and_up_again_when_it_has_it(desk: Desk) -> None:
    begin(desk, lambda call: Fill(call, is_degraded=True))
    assert desk.dependencies.is_down("cache")

    desk.clock.advance(1)
    begin(desk, Fill)
    assert not desk.dependencies.is_down("cache")


async def test_a_question_that_is_not_answered_in_time_is_a_degraded_miss(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    waiting = recall.first
    await asyncio.sleep(0)

    desk.answers.expired(desk.link, [recall.call])

    assert await waiting == Miss(recall.call, is_degraded=True)
    assert desk.said(Leave) == [Leave(recall.call)]


async def test_an_answer_that_comes_too_late_is_given_back(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    desk.answers.expired(desk.link, [recall.call])

    desk.answers.received(desk.link, [Fill(recall.call)])

    assert await recall.first == Miss(recall.call, is_degraded=True)
    assert desk.said(Leave) == [Leave(recall.call), Leave(recall.call)]


async def test_a_hit_is_kept_near(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    hit = Hit(recall.call, 200, HEADERS, (b"a",), "", 60)

    desk.answers.received(desk.link, [hit])

    assert await recall.first == hit
    assert desk.answers.near(KEY) == hit


async def test_a_hit_in_parts_is_seen_when_it_is_whole(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    waiting = recall.first
    desk.answers.received(desk.link, [Hit(recall.call, 200, HEADERS, (b"a",), "f", 60, is_partial=True)])
    desk.answers.received(desk.link, [HitPart(recall.call, (b"b",), is_last=False)])
    await asyncio.sleep(0)
    is_early = waiting.done()

    desk.answers.received(desk.link, [HitPart(recall.call, (b"c",), is_last=True)])

    assert not is_early
    assert await waiting == Hit(recall.call, 200, HEADERS, (b"a", b"b", b"c"), "f", 60)


async def test_a_hit_whose_first_part_came_in_time_is_waited_for(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    desk.answers.received(desk.link, [Hit(recall.call, 200, HEADERS, (b"a",), "", 60, is_partial=True)])

    desk.answers.expired(desk.link, [recall.call])
    desk.answers.received(desk.link, [HitPart(recall.call, (b"b",), is_last=True)])

    assert await recall.first == Hit(recall.call, 200, HEADERS, (b"a", b"b"), "", 60)


async def test_a_joiner_may_get_the_stored_answer(desk: Desk) -> None:
    recall = begin(desk, Join)

    desk.answers.received(desk.link, [Hit(recall.call, 200, HEADERS, (b"a", b"b"), "f", 60)])

    call = (recall.call,)
    assert await recall.next() == JoinHead(call, 200, HEADERS, "f")
    assert [await recall.next(), await recall.next()] == [JoinChunk(call, b"a"), JoinChunk(call, b"b")]
    assert await recall.next() == JoinEnd(call, "whole", "f")


async def test_a_joiner_without_bytes_may_be_made_the_filler(desk: Desk) -> None:
    recall = begin(desk, Join)

    desk.answers.received(desk.link, [Fill(recall.call)])
    turn = await recall.next()
    recall.head(200, HEADERS, 60)
    recall.chunk(b"a")
    recall.end("whole", "f")

    assert turn == Fill(recall.call)
    assert desk.link.sent[1:] == [
        FillHead(recall.call, 200, HEADERS, 60),
        FillChunks(recall.call, (b"a",)),
        FillEnd(recall.call, "whole", "f"),
    ]


async def test_a_joiner_waits_no_longer_than_it_says(desk: Desk) -> None:
    recall = begin(desk, Join)

    with pytest.raises(TimeoutError):
        await recall.next(timeout_s=0.01)


async def test_a_joiner_that_is_too_far_behind_is_cut_off(desk: Desk) -> None:
    piece = bytes(BEHIND_BYTES_MIN // 2)
    recall = joined(desk, piece, piece)

    desk.answers.received(desk.link, [JoinChunk((recall.call,), b"one too many")])
    items = [await recall.next() for _ in range(4)]

    assert items[-1] == JoinEnd((recall.call,), "failed", "")
    assert desk.said(Leave) == [Leave(recall.call)]
    assert desk.answers.held.used_bytes == 0


async def test_all_joiners_together_hold_no_more_than_their_budget(desk: Desk) -> None:
    recalls = [joined(desk, bytes(BEHIND_BYTES_MIN)) for _ in range(5)]

    assert desk.answers.held.used_bytes == 4 * BEHIND_BYTES_MIN
    assert [recall.role for recall in recalls] == ["following"] * 4 + ["over"]


async def test_a_joiner_may_be_behind_by_a_part_of_what_is_left() -> None:
    desk = Desk(held_bytes_max=100 * BEHIND_BYTES_MIN)
    piece = bytes(BEHIND_BYTES_MIN)

    slow = joined(desk, *[piece[:-number] for number in range(1, 30)])
    other = joined(desk, *[piece[:-number] for number in range(31, 60)])

    held_bytes = [slow._unread._held_bytes, other._unread._held_bytes]  # type: ignore[union-attr]
    assert [round(each / BEHIND_BYTES_MIN) for each in held_bytes] == [20, 16]
    assert [slow.role, other.role] == ["over", "over"]


async def test_what_several_joiners_have_not_read_counts_once(desk: Desk) -> None:
    recalls = [begin(desk, Join) for _ in range(10)]
    calls = tuple(recall.call for recall in recalls)

    desk.answers.received(desk.link, [JoinHead(calls, 200, HEADERS), JoinChunk(calls, bytes(BEHIND_BYTES_MIN))])
    together = desk.answers.held.used_bytes
    for recall in recalls[1:]:
        recall.leave()
    alone = desk.answers.held.used_bytes
    recalls[0].leave()

    assert (together, alone) == (BEHIND_BYTES_MIN, BEHIND_BYTES_MIN)
    assert desk.answers.held.used_bytes == 0


async def test_a_joiner_that_leaves_unread_gives_its_bytes_back(desk: Desk) -> None:
    recall = joined(desk, bytes(1_000))

    recall.leave()
    recall.leave()

    assert desk.answers.held.used_bytes == 0
    assert desk.said(Leave) == [Leave(recall.call)]


async def test_when_the_breaker_opens_those_without_bytes_go_on_alone(desk: Desk) -> None:
    asking, joining = desk.answers.recall(KEY, entry_bytes_max=7), begin(desk, Join)

    desk.break_open()

    assert await asking.first == Miss(asking.call, is_degraded=True)
    assert await joining.next() == Miss(joining.call, is_degraded=True)


async def test_when_the_breaker_closes_again_the_replica_hears_who_left(desk: Desk) -> None:
    asking, joining = desk.answers.recall(KEY, entry_bytes_max=7), begin(desk, Join)
    desk.break_open()

    desk.close_breaker()
    await asyncio.sleep(0.05)

    assert desk.said(Leave) == [Leave(asking.call), Leave(joining.call)]


async def test_a_short_silence_breaks_no_answer(desk: Desk) -> None:
    following = joined(desk, b"a")
    desk.break_open()
    await asyncio.sleep(0.03)

    desk.close_breaker()
    desk.answers.received(desk.link, [JoinChunk((following.call,), b"b"), JoinEnd((following.call,), "whole", "")])

    items = [await following.next() for _ in range(4)]
    assert items[-1] == JoinEnd((following.call,), "whole", "")


async def test_a_filler_loses_nothing_to_a_short_silence(desk: Desk) -> None:
    filler = begin(desk, Fill)
    filler.head(200, HEADERS, 60)
    desk.break_open()
    filler.chunk(b"a")
    filler.chunk(b"b")
    filler.end("whole")

    desk.close_breaker()
    await asyncio.sleep(0.05)

    assert desk.link.sent[-2:] == [FillChunks(filler.call, (b"a", b"b")), FillEnd(filler.call, "whole")]


async def test_when_the_session_is_lost_each_goes_its_own_way(desk: Desk) -> None:
    asking = desk.answers.recall(b"other", entry_bytes_max=7)
    joining, following, filler = begin(desk, Join), joined(desk, b"a"), begin(desk, Fill)
    filler.head(200, HEADERS, 60)

    desk.lose()
    filler.chunk(b"mine")
    filler.end("whole")

    assert await asking.first == Miss(asking.call, is_degraded=True)
    assert await joining.next() == Miss(joining.call, is_degraded=True)
    assert [await following.next() for _ in range(3)][-1] == JoinEnd((following.call,), "failed", "")
    assert desk.answers.near(KEY) is not None
    assert desk.said(FillChunks) == []
    assert desk.answers.recalls == 0


async def test_a_session_lost_while_the_breaker_is_open_is_noticed(desk: Desk) -> None:
    following = joined(desk, b"a")
    desk.break_open()

    desk.link.is_standing = False
    await asyncio.sleep(0.05)

    assert [await following.next() for _ in range(3)][-1] == JoinEnd((following.call,), "failed", "")


async def test_a_new_session_knows_nothing_of_the_calls_before_it(desk: Desk) -> None:
    following, filler = joined(desk, b"a"), begin(desk, Fill)
    filler.head(200, HEADERS, 60)
    desk.break_open()
    filler.chunk(b"for the old one")

    desk.close_breaker()
    desk.answers.opened(desk.link)
    filler.end("whole")
    await asyncio.sleep(0.05)

    assert [await following.next() for _ in range(3)][-1] == JoinEnd((following.call,), "failed", "")
    assert desk.said(FillChunks) == []
    assert desk.said(FillEnd) == []


async def test_a_filler_whose_replica_is_lost_has_nobody_waiting(desk: Desk) -> None:
    filler = begin(desk, Fill, lambda call: Watched(call, is_watched=True))
    told: list[str] = []
    filler.when_unwatched(lambda: told.append("nobody waits"))

    desk.lose()

    assert told == ["nobody waits"]
    assert not filler.has_joiners


async def test_a_request_that_is_cancelled_while_it_waits_can_still_leave(desk: Desk) -> None:
    recall = desk.answers.recall(KEY, entry_bytes_max=7)
    waiting = recall.first
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting])
    recall.leave()

    assert desk.said(Leave) == [Leave(recall.call)]
    assert desk.answers.recalls == 0


async def test_a_run_is_not_read_while_the_cache_says_nothing(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.answers.runs.read("local/main/1", 0))
    await asyncio.sleep(0)

    desk.answers.expired(desk.link, list(desk.link.owed))
    silent = await waiting
    desk.lose()

    assert silent is None
    assert await desk.answers.runs.read("local/main/1", 0) is None
    assert not desk.answers.runs.append("local/main/1", 0, [b"a"], is_end=False)
