"""Heads: what is a request, what is refused, and in which words. Nothing that came in is repeated or logged."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge, quick
from tests.protocol.port.provider import Provider, header_of, headers_of
from tests.protocol.port.raw import post, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
LINE = b"GET " + CHAT.encode() + b" HTTP/1.1\r\n"

NOT_HTTP = {
    "both framings": request(
        CHAT, b"Content-Length: 3", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\n"
    ),
    "two lengths": request(CHAT, b"Content-Length: 2", b"Content-Length: 2", method=b"POST", body=b"{}"),
    "list of lengths": request(CHAT, b"Content-Length: 2, 2", method=b"POST", body=b"{}"),
    "signed length": request(CHAT, b"Content-Length: +2", method=b"POST", body=b"{}"),
    "hex length": request(CHAT, b"Content-Length: 0x2", method=b"POST", body=b"{}"),
    "bare line feeds": b"GET " + CHAT.encode() + b" HTTP/1.1\nHost: a\n\n",
    "bare carriage return": LINE + b"Host: a\r\nX: a\rb\r\n\r\n",
    "folded header": LINE + b"Host: a\r\nX: a\r\n b\r\n\r\n",
    "space before colon": LINE + b"Host: a\r\nX : a\r\n\r\n",
    "nul in a header": LINE + b"Host: a\r\nX: a\0b\r\n\r\n",
    "no host": LINE + b"\r\n",
    "two hosts": LINE + b"Host: a\r\nHost: b\r\n\r\n",
    "unknown method": request(CHAT, method=b"FETCH"),
    "unknown version": LINE.replace(b"1.1", b"1.7") + b"Host: a\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 64,
    "bad chunk size": request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=b"zz\r\nabc\r\n"),
    "absolute form without a host": request("http:///v1/local/main/openai/models"),
}


@pytest.mark.parametrize("content", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_is_400_in_our_shape(
    edge: RunningEdge, provider: Provider, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await edge.connect()

    answer = await client.ask(content.replace(b"Host: gateway.test", b"Host: gateway.test\r\nX-Canary: canary-7f3a"))

    assert answer.status == 400
    assert answer.is_whole
    assert answer.json() == {
        "success": False,
        "error": [{"code": 2004, "message": "the request's head is not valid HTTP/1.1"}],
    }
    assert answer.get("content-type") == "application/json"
    assert answer.get("cf-aig-error-code") == "2004"
    assert len(answer.get("cf-aig-log-id") or "") == 26
    assert answer.get("connection") == "close"
    assert await client.ended() == b""
    assert provider.received == []
    assert "canary" not in caplog.text


TOO_LARGE = {
    "one header": request(CHAT, b"X: " + b"a" * 33_000),
    "target": request(CHAT + "?" + "a" * 33_000),
    "number of headers": request(CHAT, *[b"X%d: a" % number for number in range(300)]),
    "all together": request(CHAT, *[b"X%d: " % number + b"a" * 30_000 for number in range(3)]),
    "unfinished": request(CHAT, *[b"X%d: " % number + b"a" * 30_000 for number in range(3)])[:-4],
}


@pytest.mark.parametrize("content", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_a_head_beyond_its_bounds_is_refused_and_the_client_can_read_it(
    edge: RunningEdge, content: bytes
) -> None:
    client = await edge.connect()

    answer = await client.ask(content)

    assert answer.status == 400
    assert answer.get("cf-aig-error-code") == "2014"
    assert "a" * 40 not in answer.body.decode()
    assert await client.ended() == b""


async def test_a_head_at_its_bounds_passes(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    headers = [b"X%d: " % number + b"a" * 300 for number in range(200)]

    answer = await client.ask(request(CHAT, *headers))

    assert answer.status == 200
    assert [value for _, value in headers_of(provider.last) if value == "a" * 300] == ["a" * 300] * 200


async def test_a_large_body_in_the_heads_segment_is_no_large_head(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    answer = await client.ask(post(CHAT, b"x" * 200_000))

    assert answer.status == 200
    assert len(provider.last.body) == 200_000


async def test_a_head_that_does_not_end_in_time_is_408(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(head_s=0.1))
    client = await edge.connect()

    answer = await client.ask(LINE + b"Host: a\r\nX-Sl")

    assert answer.status == 408
    assert answer.get("cf-aig-error-code") == "2005"
    assert await client.ended() == b""


async def test_a_later_head_that_does_not_end_in_time_is_408_too(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(head_s=0.1))
    client = await edge.connect()
    first = await client.ask(request(CHAT))

    second = await client.ask(LINE + b"Host: a\r\n")

    assert (first.status, second.status) == (200, 408)


async def test_a_head_that_begins_behind_a_slow_answer_waits_for_it(serve: Serve, provider: Provider) -> None:
    edge = await serve(port_bounds=quick(head_s=0.1))
    release = asyncio.Event()

    async def slowly(visit: object, received: object) -> None:
        await release.wait()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]

    provider.turn = slowly
    client = await edge.connect()
    await client.send(request(CHAT) + LINE + b"Hos")
    await asyncio.sleep(0.25)
    await client.send(b"t: a\r\n\r\n")
    release.set()

    answers = [await client.answer(), await client.answer()]

    assert [answer.body for answer in answers] == [b"ok", b"ok"]


async def test_a_connection_between_requests_may_rest(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(head_s=0.05))
    client = await edge.connect()
    first = await client.ask(request(CHAT))
    await asyncio.sleep(0.2)

    second = await client.ask(request(CHAT))

    assert (first.status, second.status) == (200, 200)


@pytest.mark.parametrize(
    "target",
    [
        "/ü?q=ñ".encode(),
        b"/\xff\xfe?\xe9",
        b"/a%2Fb?x=%20&y=a+b&&=%zz",
        b"//d//?",
        b"/x;p=1,2",
        b'/a|b"c<d>`{}^\\e',
        b"/x?y#z",
    ],
)
async def test_a_target_goes_on_octet_for_octet(edge: RunningEdge, provider: Provider, target: bytes) -> None:
    client = await edge.connect()

    answer = await client.ask(request(b"/v1/local/main/openai" + target))

    assert answer.status == 200
    assert provider.last.line == b"GET /v1" + target + b" HTTP/1.1"


async def test_octets_above_127_elsewhere_stay_where_they_are(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    body = "GET /ü HTTP/1.1\r\n\r\n".encode()
    content = request(b"/v1/local/main/openai/\xc3\xbc", b"X-Name: \xe9", method=b"POST", body=body)

    await client.ask(content)
    await client.ask(post(CHAT, body))

    assert [each.line for each in provider.received] == [
        b"POST /v1/\xc3\xbc HTTP/1.1",
        b"POST /v1/chat/completions HTTP/1.1",
    ]
    assert header_of(provider.received[0], "x-name") == ["\xe9"]
    assert [each.body for each in provider.received] == [body, body]


async def test_a_target_in_absolute_form_is_its_path(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    answer = await client.ask(request("http://some.host:1/v1/local/main/openai/models?x=1"))

    assert answer.status == 200
    assert provider.last.line == b"GET /v1/models?x=1 HTTP/1.1"


@pytest.mark.parametrize("content", [request("*", method=b"OPTIONS"), request("a.test:443", method=b"CONNECT")])
async def test_a_target_that_is_no_path_is_400(edge: RunningEdge, content: bytes) -> None:
    client = await edge.connect()

    answer = await client.ask(content)

    assert answer.status == 400
    assert answer.get("cf-aig-error-code") == "2004"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS"])
async def test_methods_are_relayed(edge: RunningEdge, provider: Provider, method: str) -> None:
    client = await edge.connect()

    answer = await client.ask(request(CHAT, method=method.encode(), body=b"{}"))

    assert answer.status == 200
    assert provider.last.line.startswith(method.encode() + b" ")
    assert provider.last.body == b"{}"


async def test_a_head_that_begins_in_the_segment_of_another_request_has_its_time_too(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(head_s=0.1, keep_alive_s=0.4))
    client = await edge.connect()
    first = await client.ask(request(CHAT) + LINE + b"Host: a\r\n")

    second = await client.answer()

    assert (first.status, second.status) == (200, 408)


async def test_a_head_that_begins_in_the_segment_of_another_request_has_its_bounds_too(edge: RunningEdge) -> None:
    client = await edge.connect()
    large = request(CHAT, *[b"X%d: " % number + b"a" * 30_000 for number in range(4)])
    first = await client.ask(request(CHAT) + large[:61_000])

    second = await client.ask(large[61_000:])

    assert (first.status, second.status) == (200, 400)
    assert second.get("cf-aig-error-code") == "2014"
