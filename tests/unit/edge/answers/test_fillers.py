"""Fillers: they say their answers as these come, in bounded messages, and at a pace that others can follow."""

from __future__ import annotations

import asyncio

import pytest

from services.contracts.cache.values import Fill, FillChunks, FillEnd, FillHead, FillWhole, Hit, Lookup, Watched
from services.edge.answers.line import WAITING_BYTES_MAX
from services.edge.answers.recall import (
    CHUNK_BYTES_MAX,
    FOLLOWED_AT_ONCE_BYTES,
    FOLLOWED_BYTES_MAX,
    FOLLOWED_BYTES_PER_S,
    UNSAID_S_MAX,
)
from tests.unit.edge.answers.desk import HEADERS, KEY, Desk, begin


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_answer_that_is_all_there_is_said_in_one_item(desk: Desk) -> None:
    recall = begin(desk, Fill)

    recall.whole(200, HEADERS, [b"a", b"", b"b"], 60, "f")

    assert desk.link.sent[1:] == [FillWhole(recall.call, 200, HEADERS, (b"a", b"b"), 60, "f")]
    assert desk.answers.near(KEY) == Hit(0, 200, HEADERS, (b"a", b"b"), "f", 60)
    assert desk.answers.recalls == 0


@pytest.mark.parametrize("entry_bytes_max", [5, 2 * CHUNK_BYTES_MAX])
async def test_one_too_large_for_one_item_is_said_in_its_parts(desk: Desk, entry_bytes_max: int) -> None:
    recall = begin(desk, Fill, entry_bytes_max=entry_bytes_max)
    chunks = [bytes(CHUNK_BYTES_MAX), b"a"]

    recall.whole(200, HEADERS, chunks, 60, "f")

    assert desk.link.sent[1:] == [
        FillHead(recall.call, 200, HEADERS, 60),
        *[FillChunks(recall.call, (chunk,)) for chunk in chunks],
        FillEnd(recall.call, "whole", "f"),
    ]
    assert (desk.answers.near(KEY) is not None) == (entry_bytes_max > CHUNK_BYTES_MAX)


async def test_what_others_wait_for_is_urgent(desk: Desk) -> None:
    alone = begin(desk, Fill)
    watched = begin(desk, Fill, lambda call: Watched(call, is_watched=True))

    for recall in (alone, watched):
        recall.head(200, HEADERS, 60)
        recall.chunk(b"a")

    assert {item.call for item in desk.link.urgent if not isinstance(item, Lookup)} == {watched.call}


async def test_a_fill_too_large_for_its_bound_is_said_and_not_kept_near(desk: Desk) -> None:
    recall = begin(desk, Fill, entry_bytes_max=5)
    recall.head(200, HEADERS, 60)
    for chunk in (b"abcd", b"efgh"):
        recall.chunk(chunk)

    recall.end("whole")

    assert desk.answers.near(KEY) is None
    assert desk.said(FillEnd) == [FillEnd(recall.call, "whole")]
    assert desk.answers.held.used_bytes == 0


async def test_a_filler_that_others_follow_keeps_to_a_pace(desk: Desk) -> None:
    alone, followed = begin(desk, Fill), begin(desk, Fill, lambda call: Watched(call, is_watched=True))

    for recall in (alone, followed):
        recall.head(200, HEADERS, 60)
        recall.chunk(bytes(FOLLOWED_AT_ONCE_BYTES))
    at_once_s = followed.ahead_s
    for recall in (alone, followed):
        recall.chunk(bytes(FOLLOWED_BYTES_PER_S))
    ahead_s = followed.ahead_s
    desk.clock.advance(1)

    assert (at_once_s, ahead_s, followed.ahead_s) == (0, 1, 0)
    assert alone.ahead_s == 0


@pytest.mark.parametrize(("entry_bytes_max", "outcome"), [(1_000, "uncacheable"), (FOLLOWED_BYTES_MAX + 1, "whole")])
async def test_an_answer_too_long_to_be_followed_is_for_its_own_client(
    desk: Desk, entry_bytes_max: int, outcome: str
) -> None:
    recall = begin(desk, Fill, entry_bytes_max=entry_bytes_max)

    recall.head(200, ((b"content-length", b"%d" % (FOLLOWED_BYTES_MAX + 1)),), 60)
    recall.chunk(b"a")
    recall.end("whole")

    assert [item.outcome for item in desk.link.sent if isinstance(item, FillEnd)] == [outcome]


async def test_a_piece_too_long_for_one_message_is_said_in_several(desk: Desk) -> None:
    recall = begin(desk, Fill)
    recall.head(200, HEADERS, 60)

    recall.chunk(bytes(CHUNK_BYTES_MAX + 1))

    assert [len(item.chunks[0]) for item in desk.link.sent if isinstance(item, FillChunks)] == [CHUNK_BYTES_MAX, 1]


async def test_a_whole_end_without_a_head_is_no_answer(desk: Desk) -> None:
    recall = begin(desk, Fill)

    recall.end("whole")

    assert desk.said(FillEnd) == [FillEnd(recall.call, "uncacheable")]
    assert desk.answers.near(KEY) is None


async def test_a_filler_that_leaves_has_failed_once(desk: Desk) -> None:
    recall = begin(desk, Fill)
    recall.head(200, HEADERS, 60)

    recall.leave()
    recall.end("whole")

    assert desk.said(FillEnd) == [FillEnd(recall.call, "failed")]
    assert desk.answers.near(KEY) is None


async def test_ending_a_fill_does_not_tell_its_own_request_that_nobody_waits(desk: Desk) -> None:
    recall = begin(desk, Fill, lambda call: Watched(call, is_watched=True))
    told: list[str] = []
    recall.when_unwatched(lambda: told.append("nobody waits"))

    recall.end("uncacheable")

    assert told == []


async def test_chunks_that_nobody_waits_for_are_said_in_company(desk: Desk) -> None:
    filler = begin(desk, Fill)
    filler.head(200, HEADERS, 60)
    filler.chunk(b"a")
    filler.chunk(b"b")
    desk.clock.advance(UNSAID_S_MAX)
    filler.chunk(b"c")
    filler.chunk(b"d")

    desk.answers.received(desk.link, [Watched(filler.call, is_watched=True)])
    filler.chunk(b"e")

    assert [item.chunks for item in desk.link.sent if isinstance(item, FillChunks)] == [
        (b"a", b"b", b"c"),
        (b"d",),
        (b"e",),
    ]


async def test_a_full_queue_holds_what_is_said_until_there_is_room(desk: Desk) -> None:
    filler = begin(desk, Fill)
    desk.answers.received(desk.link, [Watched(filler.call, is_watched=True)])
    filler.head(200, HEADERS, 60)
    desk.link.is_full = True
    filler.chunk(b"a")
    desk.link.is_full = False
    filler.chunk(b"b")

    await asyncio.sleep(0.05)

    assert desk.said(FillChunks) == [FillChunks(filler.call, (b"a",)), FillChunks(filler.call, (b"b",))]


async def test_an_answer_that_lost_a_chunk_is_said_to_have_failed(desk: Desk) -> None:
    filler = begin(desk, Fill, entry_bytes_max=10)
    filler.head(200, HEADERS, 60)
    desk.link.is_full = True
    for _ in range(WAITING_BYTES_MAX // CHUNK_BYTES_MAX + 1):
        filler.chunk(bytes(CHUNK_BYTES_MAX))

    desk.link.is_full = False
    await asyncio.sleep(0.05)
    filler.chunk(b"after the hole")
    filler.end("whole")

    assert len(desk.said(FillChunks)) == WAITING_BYTES_MAX // CHUNK_BYTES_MAX
    assert desk.link.sent[-1] == FillEnd(filler.call, "failed")
