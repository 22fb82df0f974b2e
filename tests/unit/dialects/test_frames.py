"""The binary event stream: frames in any pieces, checksums, exceptions, and the frame that ends a broken one."""

from __future__ import annotations

import json
import struct

import pytest

from services.dialects.frames import FRAME_BYTES_MAX, Frame, FrameScanner, exception_frame
from services.dialects.usage import UsageReader, UsageReaders
from tests.fakes.providers import eventstream
from tests.unit.dialects.reading import counts, facts

CONVERSE = ("bedrock", "model/amazon.nova/converse-stream")
INVOKE = ("bedrock", "model/anthropic.claude/invoke-with-response-stream")
METADATA = eventstream.event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4}})


def reader(where: tuple[str, str] = CONVERSE) -> UsageReader:
    return UsageReaders().open(facts(*where), content_type=eventstream.CONTENT_TYPE)


@pytest.mark.parametrize("size", [1, 11, 10_000])
def test_frames_are_found_in_pieces_of_any_size(size: int) -> None:
    stream = eventstream.frame(b"{}", event_type="a") + eventstream.frame(b"[1]", event_type="b")
    scanner = FrameScanner()

    found = [frame for at in range(0, len(stream), size) for frame in scanner.feed(stream[at : at + size])]

    assert found == [Frame(b"a", False, b"{}"), Frame(b"b", False, b"[1]")]
    assert not scanner.is_mid_frame
    assert not scanner.is_broken


def test_headers_of_every_type_are_passed_over() -> None:
    def header(kind: int, value: bytes) -> bytes:
        return b"\x01x" + bytes([kind]) + value

    others = [
        header(kind, bytes(size)) for kind, size in ((0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16))
    ]
    block = b"".join(others) + header(6, b"\x00\x02ab") + b"\x0b:event-type\x07\x00\x04last"

    (frame,) = FrameScanner().feed(eventstream.framed(block, b"{}"))

    assert frame.name == b"last"


def damaged(at: int) -> bytes:
    octets = bytearray(METADATA)
    octets[at] ^= 1
    return bytes(octets)


@pytest.mark.parametrize(
    "stream",
    [
        damaged(3),
        damaged(7),
        damaged(9),
        damaged(20),
        damaged(-20),
        damaged(-1),
        b"\xff" * 40,
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        eventstream.framed(b"\x01x\x2a", b"{}"),
        eventstream.framed(b"\x20x", b"{}"),
    ],
)
def test_octets_that_are_no_frame_are_malformed(stream: bytes) -> None:
    heard = reader()
    heard.feed(METADATA + stream)
    heard.feed(METADATA)

    assert heard.is_malformed
    assert heard.is_mid_event
    assert counts(heard.finish())[:2] == (3, 4)


def test_a_frame_beyond_the_bound_is_malformed_before_it_has_come() -> None:
    size = struct.pack(">II", FRAME_BYTES_MAX + 1, 0)
    begin = eventstream.framed(b"", b"")
    heard = reader()

    heard.feed(size + begin[8:12])

    assert heard.is_malformed


def test_a_payload_that_is_no_json_is_malformed() -> None:
    heard = reader()

    heard.feed(eventstream.frame(b"not json", event_type="metadata"))

    assert heard.is_malformed
    assert not heard.is_mid_event


def test_a_frame_that_has_not_come_whole_is_an_open_event() -> None:
    heard = reader()
    heard.feed(METADATA + METADATA[:15])

    assert heard.is_mid_event
    assert not heard.is_malformed


def test_wrapped_events_are_counted() -> None:
    stream = b"".join(
        map(
            eventstream.chunk,
            (
                {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
                {"type": "message_delta", "usage": {"output_tokens": 8}},
                {"type": "message_stop"},
            ),
        )
    )
    heard = reader(INVOKE)

    for at in range(0, len(stream), 11):
        heard.feed(stream[at : at + 11])

    assert heard.is_terminal_seen
    assert counts(heard.finish()) == (5, 8, None, None, None)


@pytest.mark.parametrize(
    "failure",
    [
        eventstream.exception("throttlingException", "slow down"),
        eventstream.frame(b"", message_type="error", error_code="InternalError", error_message="it broke"),
    ],
)
def test_exceptions_and_errors_are_told(failure: bytes) -> None:
    heard = reader()
    heard.feed(METADATA)
    assert not heard.is_error

    heard.feed(failure)

    assert heard.is_error
    assert not heard.is_malformed


def test_an_exception_of_ours_is_a_frame_like_any() -> None:
    made = exception_frame("modelStreamErrorException", "the provider's answer was cut")

    assert made == eventstream.frame(
        json.dumps({"message": "the provider's answer was cut"}, separators=(",", ":")).encode(),
        message_type="exception",
        exception_type="modelStreamErrorException",
        content_type="application/json",
    )
