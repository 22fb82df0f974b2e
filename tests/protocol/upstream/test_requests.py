"""Requests as the provider gets them, whatever their body is, and providers that do not want all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.request import ChunkedBody
from services.kit.errors import BodyTimeout, Malformed, StreamBroken
from tests.protocol.upstream.exchanges import request, whole
from tests.protocol.upstream.scripted import Received, Script, ScriptedProvider, Visit, answering, ok

LARGE = bytes(range(256)) * 16 * 1024


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        await asyncio.sleep(0)
        yield piece


async def endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0)
        yield b"x" * 65536


def recording(received: list[Received]) -> Script:
    async def script(visit: Visit) -> None:
        while True:
            received.append(await visit.request())
            await visit.send(ok())

    return script


@pytest.mark.parametrize("body", [b"", b'{"a":1}', b"x" * 65536, b"x" * 65537, LARGE])
async def test_head_and_held_body_arrive_as_they_were_given(client: UpstreamClient, body: bytes) -> None:
    received: list[Received] = []
    async with ScriptedProvider(recording(received)) as provider:
        sent = request(provider.origin(), body=body)
        for _ in range(2):
            answer = await client.send(sent)
            assert answer.status == 200

        assert received == [Received(sent.head, body)] * 2
        assert provider.visits == 1


async def test_a_streamed_body_of_known_length_arrives_unframed(client: UpstreamClient) -> None:
    received: list[Received] = []
    async with ScriptedProvider(recording(received)) as provider:
        body = ChunkedBody(pieces(b"he", b"", b"llo"), 5)
        await client.send(request(provider.origin(), body=body))
        await client.send(request(provider.origin()))

        assert received[0].body == b"hello"
        assert provider.visits == 1


async def test_a_streamed_body_of_unknown_length_arrives_in_chunks(client: UpstreamClient) -> None:
    received: list[Received] = []
    async with ScriptedProvider(recording(received)) as provider:
        body = ChunkedBody(pieces(b"he", b"", b"llo", LARGE), None)
        await client.send(request(provider.origin(), body=body))
        await client.send(request(provider.origin()))

        assert received[0].body == b"hello" + LARGE
        assert provider.visits == 1


async def test_a_body_waits_for_a_provider_that_does_not_read(client: UpstreamClient) -> None:
    may_read = asyncio.Event()
    given_bytes = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given_bytes
        for _ in range(512):
            await asyncio.sleep(0)
            given_bytes += 65536
            yield b"x" * 65536

    async def script(visit: Visit) -> None:
        await visit.head()
        await may_read.wait()
        await visit.reader.readexactly(512 * 65536)
        await visit.send(ok())

    async with ScriptedProvider(script) as provider, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send(request(provider.origin(), body=ChunkedBody(counted(), 512 * 65536))))
        given_before = -1
        while given_bytes != given_before:
            given_before = given_bytes
            await asyncio.sleep(0.02)
        given_while_stuck = given_bytes
        may_read.set()
        answer = await sending

        assert answer.status == 200
        assert given_while_stuck < 16 * 1024 * 1024


@pytest.mark.parametrize("body", [b"x" * 50_000_000, None], ids=["held", "streamed"])
async def test_an_early_refusal_stops_the_body_and_is_delivered(client: UpstreamClient, body: bytes | None) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\n", b"big")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), body=body or ChunkedBody(endless(), None)))

        assert (answer.status, await whole(answer)) == (413, b"big")
        assert client.stats().idle == 0


async def test_an_early_refusal_that_closes_is_delivered(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    async with ScriptedProvider(script) as provider:
        for _ in range(10):
            answer = await client.send(request(provider.origin(), body=ChunkedBody(endless(), None)))
            assert (answer.status, await whole(answer)) == (401, b"no")


async def test_an_early_acceptance_does_not_stop_the_body(client: UpstreamClient) -> None:
    may_end = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"hello"
        await may_end.wait()
        yield b"world"

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await visit.send(await visit.reader.readexactly(10))
        await visit.request()
        await visit.send(ok(b"next"))

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), body=ChunkedBody(slow(), 10)))
        may_end.set()

        assert await whole(answer) == b"helloworld"
        assert (await client.send(request(provider.origin()))).take() == [b"next"]


async def test_a_body_whose_source_fails_is_not_passed_off_as_whole(client: UpstreamClient) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"hello"
        raise BodyTimeout("the client sent nothing for 30 s")

    heard: list[bytes] = []

    async def script(visit: Visit) -> None:
        await visit.head()
        heard.append(await visit.reader.read())

    async with ScriptedProvider(script) as provider:
        with pytest.raises(BodyTimeout):
            await client.send(request(provider.origin(), body=ChunkedBody(failing(), None)))
        while not provider.left:
            await asyncio.sleep(0.001)

        assert heard == [b"5\r\nhello\r\n"]


async def test_a_source_that_fails_after_the_head_breaks_the_answer(client: UpstreamClient) -> None:
    may_fail = asyncio.Event()

    async def failing() -> AsyncIterator[bytes]:
        yield b"hello"
        await may_fail.wait()
        raise BodyTimeout("the client sent nothing for 30 s")

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), body=ChunkedBody(failing(), None)))
        may_fail.set()
        with pytest.raises(StreamBroken):
            await whole(answer)


@pytest.mark.parametrize("length", [4, 6])
async def test_a_body_of_another_length_than_promised_is_refused(client: UpstreamClient, length: int) -> None:
    async def script(visit: Visit) -> None:
        await visit.left()

    async with ScriptedProvider(script) as provider:
        with pytest.raises(Malformed, match="Content-Length"):
            await client.send(request(provider.origin(), body=ChunkedBody(pieces(b"hello"), length)))


async def test_written_is_told_once_and_before_the_answer(client: UpstreamClient) -> None:
    written: list[str] = []

    async def script(visit: Visit) -> None:
        await visit.request()
        assert written == ["head"]
        await visit.send(ok())

    async with ScriptedProvider(script) as provider:
        await client.send(request(provider.origin(), on_written=lambda: written.append("head")))

        assert written == ["head"]


async def test_an_answering_provider_gets_every_method(client: UpstreamClient) -> None:
    async with ScriptedProvider(answering(ok(b"x"))) as provider:
        for method in (b"GET", b"DELETE", b"PUT", b"PATCH", b"QUERY", b"OPTIONS"):
            answer = await client.send(request(provider.origin(), method=method))
            assert await whole(answer) == b"x"


async def test_a_body_that_goes_on_after_its_end_harms_nobody_else(client: UpstreamClient) -> None:
    may_go_on = asyncio.Event()

    async def too_long() -> AsyncIterator[bytes]:
        yield b"hello"
        await may_go_on.wait()
        yield b"more"

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(ok())
        await visit.request()
        may_go_on.set()
        await asyncio.sleep(0.02)
        await visit.send(ok(b"next"))
        await visit.left()

    async with ScriptedProvider(script) as provider:
        await client.send(request(provider.origin(), body=ChunkedBody(too_long(), 5)))
        answer = await client.send(request(provider.origin()))

        assert answer.take() == [b"next"]
        assert provider.visits == 1
