"""What may be cached, and which headers come with it."""

from __future__ import annotations

import pytest

from services.edge.answers.cacheable import is_cacheable, replayed_headers


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 400, 404, 429, 500, 529])
def test_only_a_200_is_kept(status: int) -> None:
    assert not is_cacheable(status, [])


def test_a_200_is_kept_whatever_the_provider_says_of_caching() -> None:
    assert is_cacheable(200, [(b"Cache-Control", b"no-store, private"), (b"Vary", b"*"), (b"Set-Cookie", b"a=b")])


def test_a_part_is_not_kept() -> None:
    assert not is_cacheable(200, [(b"Content-Range", b"bytes 0-1/2")])


def test_headers_are_replayed_in_their_order_case_and_number() -> None:
    headers = [(b"X-Request-ID", b"1"), (b"content-type", b"a"), (b"X-Two", b"a"), (b"x-two", b"b")]

    assert replayed_headers(headers) == tuple(headers)


def test_what_was_meant_for_one_connection_or_one_caller_is_left_out() -> None:
    headers = [
        (b"Connection", b"keep-alive, X-Hop"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"x-hop", b"1"),
        (b"Set-Cookie", b"session=1"),
        (b"Content-Length", b"2"),
    ]

    assert replayed_headers(headers) == ((b"Content-Length", b"2"),)


def test_what_headers_mean_is_told_apart_however_many_kinds_of_answers_come() -> None:
    kinds = [[(b"X-%d" % number, b"a"), (b"Set-Cookie", b"b"), (b"Content-Range", b"c")] for number in range(1_000)]

    assert all(replayed_headers(kind) == (kind[0], kind[2]) for kind in kinds * 2)
    assert not any(is_cacheable(200, kind) for kind in kinds)
    assert all(is_cacheable(200, kind[:2]) for kind in kinds)


def test_what_connection_names_is_found_anew_in_each_answer() -> None:
    first = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"x-other", b"2")]
    second = [(b"connection", b"x-other"), (b"x-hop", b"1"), (b"x-other", b"2")]

    assert replayed_headers(first) == ((b"x-other", b"2"),)
    assert replayed_headers(second) == ((b"x-hop", b"1"),)
