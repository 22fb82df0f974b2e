"""Heads that come again: which segment is one whole request with the same head, told without parsing it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from aiohttp import HttpVersion11
from aiohttp.http import RawRequestMessage
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from services.edge.port.arrival import Arrival
from services.edge.port.head import Head, recurring_head

CONNECTION: Any = object()


class Lines(NamedTuple):
    """A request's head, but for the length."""

    before: bytes = b"POST /v1/a/b/c HTTP/1.1\r\nHost: h\r\nContent-Length: "
    after: bytes = b"\r\nX-Last: 1\r\n\r\n"

    def of(self, length: int | bytes, body: bytes) -> bytes:
        digits = length if isinstance(length, bytes) else b"%d" % length
        return self.before + digits + self.after + body


LINES = Lines()


def head_of(segment: bytes) -> Head:
    lines = segment.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = tuple((name, value.strip()) for name, _, value in (line.partition(b":") for line in lines))
    headers = CIMultiDictProxy(CIMultiDict([(name.decode(), value.decode()) for name, value in pairs]))
    message = RawRequestMessage(
        "POST", "/v1/a/b/c", HttpVersion11, headers, pairs, False, None, False, False, URL("/v1/a/b/c")
    )
    head = recurring_head(segment, message, CONNECTION)
    assert head is not None
    return head


def body_of(arrival: Arrival | None) -> bytes | None:
    return arrival.body if arrival is not None else None


@given(st.lists(st.integers(0, 12_000), min_size=2, max_size=8))
@example([0, 10, 0])
@example([10, 0, 1, 0])
def test_bodies_of_any_sizes_are_told_from_their_heads(sizes: list[int]) -> None:
    head = head_of(LINES.of(sizes[0], b"x" * sizes[0]))

    for size in sizes[1:]:
        assert body_of(head.again(LINES.of(size, b"y" * size))) == b"y" * size


@pytest.mark.parametrize("size", [1, 8, 9, 10, 11, 97, 98, 99, 100, 101, 998, 999, 1_000, 1_001, 9_999, 10_000])
@pytest.mark.parametrize("first", [0, 9, 10, 99, 100, 1_000])
def test_a_length_may_have_more_digits_or_fewer_than_the_last_one(first: int, size: int) -> None:
    head = head_of(LINES.of(first, b"x" * first))

    assert body_of(head.again(LINES.of(size, b"y" * size))) == b"y" * size


@given(st.integers(0, 1_200), st.integers(0, 1_200))
def test_a_segment_that_is_not_the_whole_request_or_more_than_it_is_parsed(said: int, came: int) -> None:
    head = head_of(LINES.of(7, b"x" * 7))

    assert (head.again(LINES.of(said, b"y" * came)) is None) == (said != came)


@pytest.mark.parametrize("length", [b"007", b"+7", b"-7", b" 7", b"7 ", b"0x7", b"7,7", b"", b"7.0"])
def test_a_length_that_is_spelled_otherwise_is_parsed(length: bytes) -> None:
    head = head_of(LINES.of(7, b"x" * 7))

    assert head.again(LINES.of(length, b"y" * 7)) is None


@pytest.mark.parametrize("at", range(0, len(LINES.before), 7))
def test_another_head_is_parsed(at: int) -> None:
    head = head_of(LINES.of(7, b"x" * 7))
    segment = bytearray(LINES.of(7, b"y" * 7))
    segment[at] ^= 0x20

    assert head.again(bytes(segment)) is None


@pytest.mark.parametrize("end", range(0, 90, 9))
def test_part_of_a_request_is_parsed(end: int) -> None:
    segment = LINES.of(20, b"x" * 20)
    head = head_of(segment)

    assert head.again(segment[:end]) is None


def test_a_request_without_a_body_comes_again_as_it_was() -> None:
    segment = b"POST /v1/a/b/c HTTP/1.1\r\nHost: h\r\n\r\n"
    head = head_of(segment)

    assert body_of(head.again(segment)) == b""
    assert head.again(segment + b"x") is None
    assert head.again(segment[:-1]) is None


def test_each_request_with_the_head_is_one_of_its_own() -> None:
    head = head_of(LINES.of(1, b"x"))

    first, second = head.again(LINES.of(1, b"y")), head.again(LINES.of(1, b"z"))

    assert first is not None
    assert second is not None
    second.arrived_s = 1.0
    assert (first.body, first.arrived_s, first.head) == (b"y", 0.0, head)
    assert (second.body, second.connection) == (b"z", CONNECTION)
