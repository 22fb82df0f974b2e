"""Heads that come again: what is read without the parser is what the parser finds, and nothing hostile passes so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.headers import AnswerHeaders
from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.answer_form import LINES_MAX, MISFITS_PER_FORM, AnswerForms
from services.edge.upstream.reader import AnswerReader
from services.kit.errors import UpstreamError
from tests.unit.edge.upstream.test_reader import NAMES, VALUES, NoLine

HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 5\r\nx-request-id: req_1\r\nConnection: keep-alive\r\n\r\n"
)
ANSWER = HEAD + b"hello"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Never run; an answer only wants to know it."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parsed(loop: asyncio.AbstractEventLoop, segment: bytes) -> UpstreamAnswer | None:
    """What the parser makes of a segment, if that is one answer and the connection can carry another."""
    reader, answer = AnswerReader(), UpstreamAnswer(loop, NoLine())
    reader.begin(answer, is_head_request=False, accepts_upgrade=False)
    try:
        reader.feed(segment)
    except UpstreamError:
        return None
    return answer if answer.is_finished and reader.is_reusable else None


def forms_of(loop: asyncio.AbstractEventLoop, segment: bytes) -> AnswerForms:
    forms, answer = AnswerForms(), parsed(loop, segment)
    assert answer is not None
    forms.learn(segment, answer)
    return forms


def recognised(loop: asyncio.AbstractEventLoop, forms: AnswerForms, segment: bytes) -> UpstreamAnswer | None:
    answer = UpstreamAnswer(loop, NoLine())
    return answer if forms.read(segment, answer) else None


def content(answer: UpstreamAnswer) -> tuple[object, ...]:
    return answer.status, answer.reason, answer.headers, b"".join(answer.parts), answer.is_finished, answer.is_framed


@given(st.lists(st.tuples(NAMES, VALUES, VALUES), max_size=6), st.binary(max_size=40), st.binary(max_size=40))
def test_an_answer_of_a_known_form_is_what_the_parser_finds(
    loop: asyncio.AbstractEventLoop, headers: list[tuple[bytes, bytes, bytes]], first: bytes, second: bytes
) -> None:
    lines = b"HTTP/1.1 201 Made\r\n" + b"".join(b"%b: a%b\r\n" % (name, value) for name, value, _ in headers)
    again = b"HTTP/1.1 201 Made\r\n" + b"".join(b"%b: b%b\r\n" % (name, value) for name, _, value in headers)
    forms = forms_of(loop, lines + b"Content-Length: %d\r\n\r\n%b" % (len(first), first))
    segment = again + b"Content-Length: %d\r\n\r\n%b" % (len(second), second)

    answer, expected = recognised(loop, forms, segment), parsed(loop, segment)

    assert answer is not None
    assert expected is not None
    assert content(answer) == content(expected)


@given(st.integers(0, len(ANSWER)), st.integers(0, 3), st.binary(max_size=3))
def test_whatever_an_octet_is_changed_to_the_parser_would_find_the_same_or_is_asked(
    loop: asyncio.AbstractEventLoop, at: int, removed: int, inserted: bytes
) -> None:
    forms = forms_of(loop, ANSWER)
    segment = ANSWER[:at] + inserted + ANSWER[at + removed :]

    answer = recognised(loop, forms, segment)

    if answer is not None:
        expected = parsed(loop, segment)
        assert expected is not None
        assert content(answer) == content(expected)


@pytest.mark.parametrize(
    ("usual", "hostile"),
    [
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 206 OK"),
        (b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"),
        (b"Content-Length: 5", b"Content-Length: 4"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: 05"),
        (b"Content-Length: 5", b"Content-Length: +5"),
        (b"Content-Length: 5", b"Content-Length: 5 "),
        (b"Content-Length: 5", b"Content-Length: 5, 5"),
        (b"Content-Length: 5", b"Content-Length:  5"),
        (b"Content-Length: 5", b"content-length: 5"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"x-request-id: req_1", b"Transfer-Encoding: chunked"),
        (b"x-request-id: req_1", b"Content-Length: 5"),
        (b"x-request-id: req_1", b"x-request-id : req_1"),
        (b"x-request-id: req_1", b"x-request-id:req_1"),
        (b"x-request-id: req_1", b"x-request-id: req_1\nContent-Length: 0"),
        (b"x-request-id: req_1", b"x-request-id: req_1\rContent-Length: 0"),
        (b"x-request-id: req_1", b"x-request-id: req_1\r\nContent-Length: 0"),
        (b"x-request-id: req_1", b"x-request-id: req\0_1"),
        (b"x-request-id: req_1", b"x-request-id: req\t_1"),
        (b"x-request-id: req_1", b"x-request-id: req\x7f_1"),
        (b"x-request-id: req_1", b"x-request-id: "),
        (b"x-request-id: req_1\r\n", b" folded: x\r\n"),
        (b"Connection: keep-alive", b"Connection: close"),
        (b"Connection: keep-alive", b"Connection: keep-alive, x-request-id"),
        (b"Content-Type: application/json", b"Content-Type: text/event-stream"),
        (b"\r\n\r\nhello", b"\r\n\r\nhell"),
        (b"\r\n\r\nhello", b"\r\n\r\nhello" + ANSWER),
        (b"\r\n\r\nhello", b"\r\nhello"),
        (b"HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK"),
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
    ],
)
def test_a_head_that_differs_in_anything_that_decides_is_parsed(
    loop: asyncio.AbstractEventLoop, usual: bytes, hostile: bytes
) -> None:
    forms = forms_of(loop, ANSWER)
    assert recognised(loop, forms, ANSWER) is not None

    assert recognised(loop, forms, ANSWER.replace(usual, hostile, 1)) is None


@pytest.mark.parametrize(
    "segment",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length:5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * LINES_MAX + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 20_000 + b"\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["chunks", "bodiless", "no-reason", "no-space", "interim", "many-lines", "large"],
)
def test_only_plain_heads_are_remembered(loop: asyncio.AbstractEventLoop, segment: bytes) -> None:
    assert recognised(loop, forms_of(loop, segment), segment) is None


def test_each_number_of_lines_has_a_form_and_it_gives_way_to_another_that_stays(
    loop: asyncio.AbstractEventLoop,
) -> None:
    forms = forms_of(loop, ANSWER)
    shorter = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nwait"
    other = ANSWER.replace(b"x-request-id", b"x-trace-id")

    def learn(segment: bytes) -> list[bool]:
        answer = parsed(loop, segment)
        assert answer is not None
        forms.learn(segment, answer)
        return [recognised(loop, forms, each) is not None for each in (shorter, other, ANSWER)]

    assert learn(shorter) == [True, False, True]
    assert [learn(other) for _ in range(MISFITS_PER_FORM - 1)] == [[True, False, True]] * (MISFITS_PER_FORM - 1)
    assert learn(other) == [True, True, False]


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Type: application/json", b"X-Id: %d", b"Connection: X-Hop", b"X-Hop: 1", b"cf-aig-step: 9"],
        [b"Set-Cookie: a%d", b"Set-Cookie: b", b"Content-Encoding: gzip"],
        [b"cf-aig-step: %d"],
        [b"Connection: content-length", b"cf-aig-step: %d"],
    ],
)
def test_what_goes_back_of_a_known_form_is_what_goes_back_of_a_parsed_head(
    loop: asyncio.AbstractEventLoop, headers: list[bytes]
) -> None:
    lines = b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"Content-Length: 2", b"", b"{}"])
    forms = forms_of(loop, lines % 1)
    kept_by = AnswerHeaders()

    for number in (2, 3):
        answer, expected = recognised(loop, forms, lines % number), parsed(loop, lines % number)
        assert answer is not None
        assert answer.known_head is not None
        assert expected is not None
        kept = kept_by.keep_known(answer.known_head)
        expected_kept = kept_by.keep(expected.status, expected.reason, expected.headers)

        assert kept.stored() == expected_kept.stored()
        assert (kept.beginning, kept.meaning) == (expected_kept.beginning, expected_kept.meaning)
