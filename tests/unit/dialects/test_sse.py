"""Events out of bytes, split anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.sse import SseEvent, SseScanner, up_to_payload

STREAM = (
    b"\xef\xbb\xbf: a comment\n\n"
    b"data: {}\n\n"
    b"event: message_start\ndata: one\ndata: two\n\n"
    b"data:no space\r\n\r\n"
    b"id: 7\nretry: 5\n\n"
    b"event: ping\r\rdata: carriage\r\r"
    b"\n\ndata: after blanks\r\n\n"
    b"data\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    SseEvent(b"", b"{}"),
    SseEvent(b"message_start", b"one\ntwo"),
    SseEvent(b"", b"no space"),
    SseEvent(b"", b"carriage"),
    SseEvent(b"", b"after blanks"),
    SseEvent(b"", b""),
    SseEvent(b"", b"[DONE]"),
]


def scanned(chunks: list[bytes], scanner: SseScanner | None = None) -> list[SseEvent]:
    scanner = scanner or SseScanner()
    return [event for chunk in chunks for event in scanner.feed(chunk)] + scanner.finish()


def test_a_stream_in_one_piece_is_its_events() -> None:
    assert scanned([STREAM]) == EVENTS


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_a_stream_cut_in_two_is_the_same_events(at: int) -> None:
    assert scanned([STREAM[:at], STREAM[at:]]) == EVENTS


def test_a_stream_byte_by_byte_is_the_same_events() -> None:
    assert scanned([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_in_any_pieces_is_the_same_events(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]

    assert scanned([STREAM[begin:end] for begin, end in pairwise(ends)]) == EVENTS


def test_an_event_comes_as_soon_as_its_blank_line_has_begun() -> None:
    scanner = SseScanner()

    assert scanner.feed(b"data: x\r\n") == []
    assert scanner.feed(b"\r") == [SseEvent(b"", b"x")]
    assert scanner.feed(b"\ndata: y\n\n") == [SseEvent(b"", b"y")]


@pytest.mark.parametrize(
    ("chunk", "payload", "beginning"),
    [
        (b"data: a\n\ndata: bad\n\ndata: [DONE]\n\n", b"bad", b"data: a\n\ndata: bad"),
        (b"data:a\r\n\r\ndata:bad\r\n\r\nmore", b"bad", b"data:a\r\n\r\ndata:bad"),
        (b"event: x\ndata: bad\nid: 1\n\nmore", b"bad", b"event: x\ndata: bad"),
        (b"data: one\ndata: bad\n\nmore", b"one\nbad", b"data: one\ndata: bad"),
        (b"d\n\ndata: [DONE]\n\n", b"bad", b"d"),
        (b"\n\ndata: [DONE]\n\n", b"bad", b""),
        (b"data: badly\n\ndata: bad\n\nmore", b"bad", b"data: badly\n\ndata: bad"),
        (b"data: bad.\n\ndata: ba.\n\n", b"ba.", b"data: bad.\n\ndata: ba."),
    ],
)
def test_a_chunk_up_to_a_payload_ends_with_its_last_line(chunk: bytes, payload: bytes, beginning: bytes) -> None:
    assert up_to_payload(chunk, payload) == beginning


def test_the_middle_of_an_event_is_known() -> None:
    scanner = SseScanner()

    scanner.feed(b"data: x\n\n")
    assert not scanner.is_mid_event

    scanner.feed(b"data: y")
    assert scanner.is_mid_event

    scanner.feed(b"\n\n")
    assert not scanner.is_mid_event


def test_a_last_event_without_its_blank_line_is_found_at_the_end() -> None:
    assert scanned([b"data: x\n\ndata: [DONE]"]) == [SseEvent(b"", b"x"), SseEvent(b"", b"[DONE]")]


def test_an_event_beyond_its_bound_is_dropped_and_counted() -> None:
    scanner = SseScanner(event_bytes_max=32)
    chunks = [b"data: " + b"x" * 20, b"y" * 40, b"z" * 40 + b"\n", b"\ndata: next\n\n", b"data: " + b"w" * 60 + b"\n\n"]

    assert scanned(chunks, scanner) == [SseEvent(b"", b"next"), SseEvent(b"", b"w" * 60)]
    assert scanner.oversized_count == 1
