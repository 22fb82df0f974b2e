"""The parser's path, without sockets: however the bytes are cut, the answers are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.reader import AnswerReader, may_be_http2
from services.kit.errors import StreamBroken, UpstreamError, UpstreamProtocolError


class NoLine:
    """A connection of which nothing is asked."""

    def taken(self) -> None: ...

    def write(self, chunk: bytes) -> None: ...

    async def drained(self) -> None: ...

    def abort(self) -> None: ...


class Script(msgspec.Struct, frozen=True):
    """An answer as bytes, and what should be read out of it."""

    raw: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_head_request: bool


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Never run; an answer only wants to know it."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


NAMES = st.text(st.sampled_from("abcXYZ-_09"), min_size=1, max_size=12).map(lambda name: b"X-" + name.encode())
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(str.encode)
INTERIMS = st.lists(
    st.sampled_from((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")), max_size=3
)
TRAILERS = st.lists(st.just(b"X-Trailer: value\r\n"), max_size=2).map(b"".join)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    status = draw(st.sampled_from((200, 201, 204, 304, 400, 413, 429, 503, 529)))
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    is_head_request = draw(st.booleans())
    is_bodiless = status in (204, 304) or is_head_request
    if draw(st.booleans()):
        framing, after = (b"Transfer-Encoding", b"chunked"), b"0\r\n" + draw(TRAILERS) + b"\r\n"
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + after
    else:
        framing, framed = (b"Content-Length", b"%d" % sum(map(len, chunks))), b"".join(chunks)
    place = draw(st.integers(0, len(headers)))
    headers = [*headers[:place], framing, *headers[place:]]
    head = b"HTTP/1.1 %d Some Reason\r\n" % status + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"
    raw = b"".join(draw(INTERIMS)) + head + (b"" if is_bodiless else framed)
    return Script(raw, status, headers, b"" if is_bodiless else b"".join(chunks), is_head_request)


def pieces_of(raw: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    return [raw[start:end] for start, end in pairwise(edges)]


def feed(reader: AnswerReader, answer: UpstreamAnswer, pieces: list[bytes], *, is_head_request: bool) -> None:
    reader.begin(answer, is_head_request=is_head_request, accepts_upgrade=False)
    for piece in pieces:
        reader.feed(piece)


@given(st.lists(scripts(), min_size=1, max_size=4), st.lists(st.integers(0, 10_000), max_size=40))
def test_answers_on_one_connection_are_the_same_however_they_are_cut(
    loop: asyncio.AbstractEventLoop, given_scripts: list[Script], cuts: list[int]
) -> None:
    reader = AnswerReader()
    for script in given_scripts:
        answer = UpstreamAnswer(loop, NoLine())
        feed(reader, answer, pieces_of(script.raw, cuts), is_head_request=script.is_head_request)

        assert (answer.status, answer.reason, answer.headers) == (script.status, b"Some Reason", script.headers)
        assert (b"".join(answer.parts), answer.is_finished, answer.is_framed) == (script.body, True, True)
        assert reader.is_reusable
        reader.rest()


@given(scripts(), st.binary(min_size=1, max_size=30).filter(lambda extra: extra[:1] not in b"\r\n"))
def test_bytes_after_the_end_never_reach_the_answer_nor_leave_a_reusable_connection(
    loop: asyncio.AbstractEventLoop, script: Script, extra: bytes
) -> None:
    reader = AnswerReader()
    answer = UpstreamAnswer(loop, NoLine())
    feed(reader, answer, [script.raw + extra], is_head_request=script.is_head_request)

    assert b"".join(answer.parts) == script.body
    assert not reader.is_reusable


def test_a_last_chunk_after_the_answer_to_a_head_leaves_no_reusable_connection(loop: asyncio.AbstractEventLoop) -> None:
    reader = AnswerReader()
    answer = UpstreamAnswer(loop, NoLine())
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    feed(reader, answer, [head + b"0\r\n\r\n"], is_head_request=True)

    assert answer.is_finished
    assert not reader.is_reusable


@given(scripts(), st.integers(0, 10_000))
def test_a_part_of_an_answer_is_never_finished(loop: asyncio.AbstractEventLoop, script: Script, cut: int) -> None:
    reader = AnswerReader()
    answer = UpstreamAnswer(loop, NoLine())
    part = script.raw[: cut % len(script.raw)]
    feed(reader, answer, [part] if part else [], is_head_request=script.is_head_request)

    assert not answer.is_finished
    assert script.body.startswith(b"".join(answer.parts))


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=10), st.booleans())
def test_no_bytes_make_it_raise_anything_but_an_upstream_error(
    loop: asyncio.AbstractEventLoop, noise: bytes, cuts: list[int], is_after_start: bool
) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + noise if is_after_start else noise
    reader = AnswerReader()
    answer = UpstreamAnswer(loop, NoLine())
    raised: UpstreamError | None = None
    try:
        feed(reader, answer, pieces_of(raw, cuts), is_head_request=False)
    except UpstreamError as error:
        raised = error

    assert raised is None or isinstance(raised, StreamBroken if answer.status else UpstreamProtocolError)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"", False),
        (b"\0", True),
        (b"\0\0\x12", True),
        (b"\0\0\x12\4", True),
        (b"\0\0\x12\4\0\0\0\0\0", True),
        (b"\0\0\x12\4\0\0\0\0\1", False),
        (b"\0\0\x12\7", True),
        (b"\0\0\x12\6", False),
        (b"\0\1", False),
        (b"H", False),
    ],
)
def test_the_first_frame_of_http_2_is_known(start: bytes, expected: bool) -> None:
    assert may_be_http2(start) is expected
