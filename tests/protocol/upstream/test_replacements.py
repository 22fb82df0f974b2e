"""Replacements: a connection that its provider closed while it was idle costs a new one, and never a body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.upstream.bounds import PoolBounds
from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.request import ChunkedBody
from services.edge.upstream.tls import SessionContext
from services.kit.clock import SystemClock
from services.kit.errors import UpstreamClosed
from tests.protocol.upstream.exchanges import request, soon, whole
from tests.protocol.upstream.scripted import ScriptedProvider, Visit, numbered, ok


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_stale_connection_is_replaced_without_anyone_noticing(client: UpstreamClient, is_reset: bool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(ok(b"%d" % visit.number))
        await visit.head()
        if visit.number == 1:
            if is_reset:
                visit.reset()
            return
        await visit.send(ok(b"again"))

    written: list[int] = []
    async with ScriptedProvider(script) as provider:
        first = await client.send(request(provider.origin()))
        second = await client.send(request(provider.origin(), on_written=lambda: written.append(1)))

        assert (first.take(), second.take()) == ([b"1"], [b"2"])
        assert client.stats().reuse_failures == 1
        assert written == [1]


async def test_a_large_held_body_is_sent_again_on_the_new_connection(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        received = await visit.request()
        await visit.send(ok(b"%d" % len(received.body)))
        await visit.head()
        visit.reset()

    async with ScriptedProvider(script) as provider:
        await client.send(request(provider.origin()))
        answer = await client.send(request(provider.origin(), body=b"x" * 3_000_000))

        assert answer.take() == [b"3000000"]


async def test_a_streamed_body_does_not_meet_a_connection_that_was_idle(client: UpstreamClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"

    async def script(visit: Visit) -> None:
        received = await visit.request()
        await visit.send(ok(received.body))
        await visit.head()

    async with ScriptedProvider(script) as provider:
        for _ in range(5):
            answer = await client.send(request(provider.origin(), body=ChunkedBody(body(), None)))
            assert await whole(answer) == b"hello"

        assert provider.visits == 5
        await soon(lambda: client.stats().open == 1)
        assert client.stats().reuse_failures == 0


async def test_not_even_when_it_has_to_wait_for_one(client_tls: SessionContext) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"

    bounds = PoolBounds(connections_per_origin_max=2)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(numbered()) as provider,
    ):
        bodies: list[bytes | ChunkedBody] = [b"x", b"y", *(ChunkedBody(body(), None) for _ in range(10))]
        answers = await asyncio.gather(*(client.send(request(provider.origin(), body=each)) for each in bodies))
        seen = [await whole(answer) for answer in answers]

        assert len(set(seen)) == len(seen)
        await soon(lambda: client.stats().open == 2)


async def test_a_replacement_is_new_also_when_it_has_to_wait(client_tls: SessionContext) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(ok(b"%d" % visit.number))
        await visit.head()
        if visit.number > 2:
            await visit.send(ok(b"again"))

    bounds = PoolBounds(connections_per_origin_max=2)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(script) as provider,
    ):
        await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(2)))
        answers = await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(2)))

        assert sorted(b"".join(answer.take()) for answer in answers) == [b"3", b"4"]


async def test_a_replacement_that_fails_is_not_replaced_again(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        if visit.number == 1:
            await visit.request()
            await visit.send(ok())
        await visit.head()

    async with ScriptedProvider(script) as provider:
        await client.send(request(provider.origin()))
        with pytest.raises(UpstreamClosed):
            await client.send(request(provider.origin()))

        assert provider.visits == 2


async def test_a_connection_closed_while_idle_is_not_used(client: UpstreamClient) -> None:
    async with ScriptedProvider(numbered(requests_each=1)) as provider:
        for number in (b"1", b"2"):
            answer = await client.send(request(provider.origin()))
            assert answer.take() == [number]
            await soon(lambda: client.stats().open == 0)

        assert client.stats().reuse_failures == 0


async def test_all_idle_connections_being_stale_costs_one_replacement(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(ok(b"%d" % visit.number))
        await visit.head()

    async with ScriptedProvider(script) as provider:
        await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(4)))
        answer = await client.send(request(provider.origin()))

        assert answer.take() == [b"5"]
        assert client.stats().reuse_failures == 1
