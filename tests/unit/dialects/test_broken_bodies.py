"""Bodies that break: how much of them may pass, whether they are at their end, and whether they may be stored."""

from __future__ import annotations

import gzip

import pytest

from services.dialects.usage import UsageReader, UsageReaders
from tests.fakes.providers import eventstream
from tests.unit.dialects.reading import JSON, SSE, facts

LINES = "application/stream+json"
CHAT = ("openai", "chat/completions")
COHERE_V1 = ("cohere", "v1/chat")
CONVERSE = ("bedrock", "model/amazon.nova/converse-stream")
GENERATE = ("google", "v1beta/models/gemini-2.5-flash:streamGenerateContent")


def reader_of(
    body: bytes, where: tuple[str, str] = CHAT, *, content_type: str = SSE, coding: str = "", status: int = 200
) -> UsageReader:
    """One that was fed with all of this."""
    asked = facts(*where, b'{"model":"m","stream":true}')
    reader = UsageReaders().open(asked, status=status, content_type=content_type, content_encoding=coding)
    reader.feed(body)
    return reader


def test_what_may_pass_of_a_piece_with_a_malformed_event_ends_with_it() -> None:
    reader = reader_of(b"data: {}\n\ndata: {")
    piece = b"bad\n\ndata: [DONE]\n\n"
    reader.feed(piece)

    assert reader.is_malformed
    assert not reader.is_terminal_seen
    assert reader.up_to_fault(piece) == b"bad"


def test_nothing_of_a_coded_piece_with_a_malformed_event_may_pass() -> None:
    piece = gzip.compress(b"data: {}\n\ndata: {bad\n\n")
    reader = reader_of(piece, coding="gzip")

    assert reader.is_malformed
    assert reader.up_to_fault(piece) == b""


STOPPED = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    ("body", "is_at_end"),
    [
        (STOPPED, True),
        (STOPPED + b"data: [DONE]", True),
        (STOPPED + b"data: [DON", False),
        (STOPPED + b'data: {"choi', False),
        (STOPPED + b": keep", True),
        (STOPPED + b"event: mess", True),
        (b'data: {"choices":[{"delta":{}}]}\n\n', False),
        (b"data: [DONE]", True),
    ],
)
def test_a_body_is_at_its_end_if_nothing_half_stands_behind_it(body: bytes, is_at_end: bool) -> None:
    reader = reader_of(body)

    assert reader.is_at_end is is_at_end
    assert not reader.is_malformed


STREAM_END = b'{"event_type":"stream-end"}\n'
MESSAGE_STOP = eventstream.event("messageStop", {"stopReason": "end_turn"})


@pytest.mark.parametrize(
    ("where", "content_type", "body", "is_whole"),
    [
        (COHERE_V1, LINES, STREAM_END, True),
        (COHERE_V1, LINES, STREAM_END.rstrip(), True),
        (COHERE_V1, LINES, STREAM_END + b'{"event_ty', False),
        (CONVERSE, eventstream.CONTENT_TYPE, MESSAGE_STOP, True),
        (CONVERSE, eventstream.CONTENT_TYPE, MESSAGE_STOP + MESSAGE_STOP[:15], False),
    ],
)
def test_half_a_line_or_a_frame_is_no_end_and_not_to_be_stored(
    where: tuple[str, str], content_type: str, body: bytes, is_whole: bool
) -> None:
    reader = reader_of(body, where, content_type=content_type)

    assert reader.is_at_end is is_whole
    assert reader.is_storable is is_whole
    assert not reader.is_malformed


WRONG_CHECKSUM = gzip.compress(STOPPED)[:-8] + bytes(8)


@pytest.mark.parametrize(
    ("body", "content_type", "coding", "is_storable"),
    [
        (STOPPED, SSE, "", True),
        (b'data: {"choices":[]}\n\n', SSE, "", True),
        (STOPPED + b'data: {"choi', SSE, "", False),
        (b'data: {"error":{"message":"overloaded"}}\n\n', SSE, "", False),
        (b'{"choices":[]}', JSON, "", True),
        (b'{"choices":[', JSON, "", False),
        (b"plain text", "text/plain", "", True),
        (gzip.compress(STOPPED), SSE, "gzip", True),
        (gzip.compress(STOPPED)[:-4], SSE, "gzip", False),
        (WRONG_CHECKSUM, SSE, "gzip", False),
        (b"whatever it means", SSE, "compress", True),
    ],
)
def test_what_is_half_or_failed_is_not_to_be_stored(
    body: bytes, content_type: str, coding: str, is_storable: bool
) -> None:
    reader = reader_of(body, content_type=content_type, coding=coding)

    assert reader.is_storable is is_storable


@pytest.mark.parametrize(
    ("body", "coding", "is_torn"),
    [
        (b'[{"candidates":[]},\n{"candidates":[]}]', "", False),
        (b'[{"candidates":[]},\n{no json},\n{"candidates":[]}]', "", True),
        (gzip.compress(b"[{no json}]"), "gzip", True),
        (b"{no json}", "", False),
    ],
)
def test_an_array_with_an_item_that_is_no_json_is_torn(body: bytes, coding: str, is_torn: bool) -> None:
    reader = reader_of(body, GENERATE, content_type=JSON, coding=coding)

    assert reader.is_torn_array is is_torn


def test_a_refusal_is_no_torn_array() -> None:
    reader = reader_of(b"[busy]", GENERATE, status=503, content_type=JSON)

    assert not reader.is_torn_array
