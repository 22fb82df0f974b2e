"""Requests that want to be two requests, or to break what reads them. None reaches a provider as more than it is."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge, quick
from tests.protocol.port.provider import Provider, header_of
from tests.protocol.port.raw import post, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
DEEP = b"[" * 60_000 + b"]" * 60_000


@pytest.mark.parametrize(
    "endpoint",
    [
        "models HTTP/1.1\r\nX-Injected: 1\r\n\r\nGET /second",
        "models\nX: 1",
        "a b",
        "a\tb",
        "models?x=\r\n",
        "models\u007f",
        "models\u0000",
    ],
)
async def test_an_endpoint_cannot_end_its_request_line(edge: RunningEdge, provider: Provider, endpoint: str) -> None:
    client = await edge.connect()
    steps = [{"provider": "openai", "endpoint": endpoint, "query": {}}]

    answer = await client.ask(post("/v1/local/main", json.dumps(steps).encode()))

    assert answer.status == 400
    assert "percent-encoded" in answer.json()["error"][0]["message"]
    assert provider.received == []


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\u0000b"])
async def test_a_steps_header_cannot_become_two(edge: RunningEdge, provider: Provider, value: str) -> None:
    client = await edge.connect()
    steps = [{"provider": "openai", "endpoint": "models", "headers": {"X-One": value}, "query": {}}]

    answer = await client.ask(post("/v1/local/main", json.dumps(steps).encode()))

    assert answer.status == 400
    assert provider.received == []


@pytest.mark.parametrize("size", [10, 200_000])
async def test_a_body_keeps_its_length_when_the_client_has_it_dropped(
    edge: RunningEdge, provider: Provider, size: int
) -> None:
    client = await edge.connect()
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".ljust(size, b"x")

    answer = await client.ask(request(CHAT, b"Connection: content-length", method=b"POST", body=body))

    assert answer.status == 200
    assert [each.body for each in provider.received] == [body]
    assert header_of(provider.last, "content-length") == [str(len(body))]


@pytest.mark.parametrize("body", [b'{"model":"\xff"}', b'{"model":' + DEEP + b"}", b'{"messages":' + DEEP + b"}"])
async def test_a_body_that_cannot_be_read_is_the_providers_business(
    edge: RunningEdge, provider: Provider, body: bytes
) -> None:
    client = await edge.connect()

    answer = await client.ask(post(CHAT, body))

    assert answer.status == 200
    assert provider.last.body == body


@pytest.mark.parametrize(
    "body",
    [
        b'[{"provider":"openai","endpoint":"\xff"}]',
        b'[{"provider":"openai","query":' + DEEP + b"}]",
        b"[" + b"\xff" * 9,
    ],
)
async def test_a_universal_body_that_cannot_be_read_is_400(edge: RunningEdge, body: bytes) -> None:
    client = await edge.connect()

    answer = await client.ask(post("/v1/local/main", body))

    assert answer.status == 400
    assert answer.get("cf-aig-error-code") == "2004"


async def test_a_model_of_any_length_becomes_no_header_of_that_length(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    body = b'{"model":"%b"}' % (b"m" * 50_000)

    answer = await client.ask(post(CHAT, body))

    assert provider.last.body == body
    assert len(answer.get("cf-aig-model") or "") <= 256


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity", b"chunked, chunked"])
async def test_a_transfer_coding_that_would_be_lost_is_refused(
    edge: RunningEdge, provider: Provider, coding: bytes
) -> None:
    client = await edge.connect()

    answer = await client.ask(
        request(CHAT, b"Transfer-Encoding: " + coding, method=b"POST", body=b"2\r\n{}\r\n0\r\n\r\n")
    )

    assert answer.status == 400
    assert provider.received == []


async def test_thousands_of_chunks_are_a_body_and_nobody_waits_for_them(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    body = bytes(range(256)) * 400
    chunks = b"".join([b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body))]) + b"0\r\n\r\n"

    async with pauses() as pauses_s:
        first = await client.ask(request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=chunks))
    second = await client.ask(post(CHAT, b"{}"))

    assert (first.status, second.status) == (200, 200)
    assert [each.body for each in provider.received] == [body, b"{}"]
    assert max(pauses_s) < 0.08


async def test_requests_in_one_segment_are_answered_one_in_a_turn(edge: RunningEdge) -> None:
    client = await edge.connect()

    async with pauses() as pauses_s:
        await client.send(request("/v1/local/nobody/openai/models") * 30)
        answers = [await client.answer() for _ in range(30)]

    assert [answer.status for answer in answers] == [404] * 30
    assert len(pauses_s) >= 30


async def test_answers_that_nobody_reads_are_not_added_to(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(keep_alive_s=0.3))
    loop, unsent_bytes = asyncio.get_running_loop(), [0]
    with socket.socket() as deaf:
        deaf.setblocking(False)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(deaf, edge.edge.address)

        async def ask_on() -> None:
            while True:
                await loop.sock_sendall(deaf, request("/v1/local/nobody/openai/models") * 30)
                await asyncio.sleep(0.005)
                open_ones = [each.transport for each in edge.edge.port.connections if each.transport is not None]
                unsent_bytes.extend(each.get_write_buffer_size() for each in open_ones)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_on(), 20)

    assert 0 < max(unsent_bytes) < 2**17


@pytest.mark.parametrize("beginning", [b'{"messages":' + b"[" * 100_000, b'{"a":' + b"[]," * 40_000])
async def test_the_beginning_of_a_body_is_not_looked_through_for_ever(edge: RunningEdge, beginning: bytes) -> None:
    client = await edge.connect()

    async with pauses() as pauses_s:
        answer = await client.ask(post(CHAT, beginning))

    assert answer.status == 200
    assert max(pauses_s) < 0.05


@asynccontextmanager
async def pauses() -> AsyncIterator[list[float]]:
    """Seconds of processor time that each turn of the loop took."""
    took_s: list[float] = []

    async def look() -> None:
        while True:
            began_s = time.thread_time()
            await asyncio.sleep(0)
            took_s.append(time.thread_time() - began_s)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        yield took_s
        looking.cancel()
