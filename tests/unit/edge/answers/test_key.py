"""Answer keys: what must part answers parts them, and what says nothing about an answer does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.router.values import Base, Cache, Gateway, Provider
from services.edge.answers.key import KEY_BYTES, AnswerKeys, Question

GATEWAY = Gateway("local", "main", cache=Cache(ttl_s=60))
PROVIDER = Provider("google-ai-studio", "google", (Base("https://g.test"),), "x-goog-api-key", client_key_query="key")
HEADERS = [(b"Authorization", b"Bearer one"), (b"Content-Type", b"application/json"), (b"User-Agent", b"a/1")]
REQUEST: dict[str, Any] = {
    "gateway": GATEWAY,
    "provider": PROVIDER,
    "base_url": "https://g.test",
    "method": "POST",
    "target": b"/v1/chat?alt=sse",
    "headers": HEADERS,
    "body": b'{"model":"m"}',
}
SHARED = Gateway("local", "main", cache=Cache(ttl_s=60, is_shared_across_keys=True))


def key(**changes: Any) -> bytes:
    request = REQUEST | changes
    gateway, body = request.pop("gateway"), request.pop("body")
    return AnswerKeys().seed(gateway, Question(**request)).key(body)


def with_headers(*pairs: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*HEADERS, *pairs]


def with_cache(**changes: Any) -> Gateway:
    return msgspec.structs.replace(GATEWAY, cache=msgspec.structs.replace(GATEWAY.cache, **changes))


def test_a_key_is_the_same_for_the_same_request() -> None:
    assert key() == key()
    assert len(key()) == KEY_BYTES


@pytest.mark.parametrize(
    "changes",
    [
        {"gateway": Gateway("other", "main", cache=GATEWAY.cache)},
        {"gateway": Gateway("local", "other", cache=GATEWAY.cache)},
        {"gateway": with_cache(epoch=1)},
        {"provider": msgspec.structs.replace(PROVIDER, name="custom-g")},
        {"provider": msgspec.structs.replace(PROVIDER, headers=(("x-team", "search"),))},
        {"base_url": "https://h.test"},
        {"method": "QUERY"},
        {"target": b"/v1/chats?alt=sse"},
        {"target": b"/v1/chat?alt=json"},
        {"target": b"/v1/chat%3Falt=sse"},
        {"body": b'{"model":"n"}'},
        {"body": b'{"model": "m"}'},
        {"headers": [(b"Authorization", b"Bearer two"), *HEADERS[1:]]},
        {"headers": with_headers((b"x-goog-api-key", b"k"))},
        {"headers": with_headers((b"OpenAI-Organization", b"o"))},
        {"headers": with_headers((b"Cookie", b"who=me"))},
        {"target": b"/v1/chat?alt=sse&key=k"},
        {"stored_key_alias": "default"},
        {"headers": with_headers((b"Accept-Encoding", b"gzip"))},
        {"headers": with_headers((b"Accept", b"text/event-stream"))},
        {"headers": with_headers((b"anthropic-beta", b"new"))},
        {"own_key": "mine"},
    ],
    ids=str,
)
def test_what_shapes_an_answer_or_parts_its_readers_makes_another_key(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


@pytest.mark.parametrize(
    "headers",
    [
        with_headers((b"User-Agent", b"b/2")),
        with_headers((b"X-Request-Id", b"7")),
        with_headers((b"traceparent", b"00-0-0-01")),
        [HEADERS[1], HEADERS[0]],
        [(b"AUTHORIZATION", b"Bearer one"), *HEADERS[1:]],
    ],
    ids=str,
)
def test_what_says_nothing_about_an_answer_does_not(headers: list[tuple[bytes, bytes]]) -> None:
    assert key(headers=headers) == key()


def test_the_order_of_one_headers_values_counts() -> None:
    one_way = with_headers((b"anthropic-beta", b"a"), (b"anthropic-beta", b"b"))
    other_way = with_headers((b"anthropic-beta", b"b"), (b"anthropic-beta", b"a"))

    assert key(headers=one_way) != key(headers=other_way)


def test_a_header_counts_when_the_operator_says_so() -> None:
    counted = with_cache(key_headers=("x-plan",))

    free = key(gateway=counted, headers=with_headers((b"X-Plan", b"free")))
    paid = key(gateway=counted, headers=with_headers((b"X-Plan", b"paid")))

    assert free != paid
    assert key(headers=with_headers((b"X-Plan", b"free"))) == key(headers=with_headers((b"X-Plan", b"paid")))


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"Authorization", b"Bearer two"), *HEADERS[1:]]},
        {"target": b"/v1/chat?alt=sse&key=k"},
        {"target": b"/v1/chat?key=k&alt=sse"},
        {"stored_key_alias": "default"},
    ],
    ids=str,
)
def test_callers_share_answers_where_the_operator_says_so(changes: dict[str, Any]) -> None:
    assert key(gateway=SHARED, **changes) == key(gateway=SHARED)


def test_tenants_never_share_answers() -> None:
    other = Gateway("other", "main", cache=SHARED.cache)

    assert key(gateway=other) != key(gateway=SHARED)
    assert key(gateway=other, own_key="mine") != key(gateway=SHARED, own_key="mine")


def test_a_key_of_the_clients_own_replaces_the_request() -> None:
    elsewhere = {"target": b"/v1/else", "body": b"{}", "method": "GET", "headers": with_headers((b"Accept", b"*/*"))}

    assert key(own_key="mine", **elsewhere) == key(own_key="mine")
    assert key(own_key="mine") != key(own_key="yours")


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"Authorization", b"Bearer two"), *HEADERS[1:]]},
        {"target": b"/v1/chat?alt=sse&key=k"},
        {"provider": msgspec.structs.replace(PROVIDER, name="custom-g")},
        {"gateway": with_cache(epoch=1)},
        {"headers": with_headers((b"Accept-Encoding", b"gzip"))},
    ],
    ids=str,
)
def test_a_key_of_the_clients_own_stays_with_its_caller_and_coding(changes: dict[str, Any]) -> None:
    assert key(own_key="mine", **changes) != key(own_key="mine")


octets = st.binary(max_size=3)
headers_that_count = st.lists(
    st.tuples(st.sampled_from([b"accept", b"content-type", b"authorization"]), octets), max_size=3
)
requests = st.fixed_dictionaries(
    {
        "gateway": st.builds(Gateway, st.sampled_from(["a", "aa", ""]), st.sampled_from(["a", "aa", ""])),
        "base_url": st.sampled_from(["", "u", "/u"]),
        "method": st.sampled_from(["", "GET", "POST"]),
        "target": octets,
        "body": octets,
        "headers": headers_that_count,
        "own_key": st.sampled_from(["", "k"]),
        "stored_key_alias": st.sampled_from(["", "d"]),
    }
)


@given(requests, requests)
def test_no_two_different_requests_have_one_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    is_same = _meaning(one) == _meaning(other)

    assert (key(**one) == key(**other)) is is_same


def _meaning(request: dict[str, Any]) -> tuple[object, ...]:
    """What a key stands for, said without hashing."""
    headers = sorted(request["headers"], key=lambda pair: pair[0])
    caller = [pair for pair in headers if pair[0] == b"authorization"]
    who = (request["gateway"].account, request["gateway"].name, request["stored_key_alias"], caller)
    if request["own_key"]:
        return (*who, request["own_key"])
    shaping = [pair for pair in headers if pair[0] != b"authorization"]
    path, _, query = request["target"].partition(b"?")
    return (*who, request["base_url"], request["method"], path, query, request["body"], shaping)
