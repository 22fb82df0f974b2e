"""Connections: reused, bounded, retired, and gone at once when nobody wants them."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator

import pytest

from services.edge.upstream.bounds import PoolBounds
from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.origin import Origin
from services.edge.upstream.request import ChunkedBody
from services.edge.upstream.tls import SessionContext
from services.kit.clock import SystemClock
from services.kit.errors import Overloaded, StreamBroken, UpstreamAddressRefused, UpstreamClosed
from tests.fakes.clock import FakeClock
from tests.protocol.upstream.exchanges import request, soon, whole
from tests.protocol.upstream.scripted import (
    STREAM_START,
    ScriptedProvider,
    Visit,
    answering,
    numbered,
    ok,
    silent,
    streaming,
)


async def test_the_connection_used_last_is_used_first(client: UpstreamClient) -> None:
    async with ScriptedProvider(numbered()) as provider:
        await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(3)))
        seen = {b"".join((await client.send(request(provider.origin()))).take()) for _ in range(5)}

        assert provider.visits == 3
        assert len(seen) == 1
        assert (client.stats().open, client.stats().idle, client.stats().opened) == (3, 3, 3)


async def test_origins_that_differ_in_what_is_allowed_share_no_connections(client: UpstreamClient) -> None:
    async with ScriptedProvider(numbered()) as provider:
        await client.send(request(provider.origin()))
        strict = Origin("https", "127.0.0.1", provider.port, False)
        with pytest.raises(UpstreamAddressRefused):
            await client.send(request(strict))


async def test_of_a_dismissed_answer_nothing_is_kept(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 3000000\r\n\r\n")
        await visit.send(b"x" * 3_000_000)
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        answer.dismiss()
        await soon(lambda: client.stats().idle == 1)

        assert answer.is_finished
        assert answer.take() == []


@pytest.mark.parametrize("is_soon", [True, False])
async def test_a_dismissed_answer_gives_its_connection_back_if_its_end_comes_soon(
    client: UpstreamClient, is_soon: bool
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(STREAM_START)
        if is_soon:
            await asyncio.sleep(0.01)
            await visit.send(b"0\r\n\r\n")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        answer.dismiss(within_s=0.05)
        await soon(lambda: client.stats().idle == 1 if is_soon else client.stats().open == 0)

        assert answer.is_finished == is_soon


async def test_requests_beyond_the_bound_wait_in_their_order(client_tls: SessionContext) -> None:
    order: list[int] = []
    bounds = PoolBounds(connections_per_origin_max=1)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(numbered()) as provider,
    ):

        async def one(number: int) -> None:
            await client.send(request(provider.origin()))
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))

        assert order == list(range(20))
        assert provider.visits == 1
        assert client.stats().waits == 19


async def test_a_slot_freed_by_a_closing_connection_goes_to_who_waits(client_tls: SessionContext) -> None:
    bounds = PoolBounds(connections_per_origin_max=2)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(answering(ok(b"x", b"Connection: close"))) as provider,
    ):
        await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(20)))

        assert provider.visits == 20
        await soon(lambda: client.stats().open == 0)


async def test_waiting_is_bounded_in_time_and_number(client_tls: SessionContext) -> None:
    bounds = PoolBounds(connections_per_origin_max=1, wait_s=0.05, waiting_max=1)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(streaming) as provider,
    ):
        answer = await client.send(request(provider.origin()))
        outcomes = await asyncio.gather(
            *(client.send(request(provider.origin())) for _ in range(2)), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes] == [Overloaded, Overloaded]
        assert (client.stats().shed, client.stats().waits, client.stats().waiting) == (2, 1, 0)
        answer.abort()
        await soon(lambda: client.stats().open == 0)


async def test_the_bound_over_all_origins_takes_idle_connections_of_others(client_tls: SessionContext) -> None:
    bounds = PoolBounds(connections_max=2)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(numbered()) as one,
        ScriptedProvider(numbered()) as other,
    ):
        await asyncio.gather(*(client.send(request(one.origin())) for _ in range(2)))
        await asyncio.gather(*(client.send(request(other.origin())) for _ in range(6)))

        assert (one.visits, client.stats().open) == (2, 2)


async def test_a_full_client_gives_a_freed_connection_up_for_another_origin(client_tls: SessionContext) -> None:
    may_answer = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await may_answer.wait()
        await visit.send(ok())
        await visit.left()

    bounds = PoolBounds(connections_max=1)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(script) as one,
        ScriptedProvider(numbered()) as other,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(client.send(request(one.origin())))
        await soon(lambda: one.visits == 1)
        second = tasks.create_task(client.send(request(other.origin())))
        await soon(lambda: client.stats().waiting == 1)
        may_answer.set()

        assert (await first).status == 200
        assert (await second).status == 200


async def test_cancelling_who_waits_loses_no_slot(client_tls: SessionContext) -> None:
    async def script(visit: Visit) -> None:
        await (silent if visit.number == 2 else streaming)(visit)

    bounds = PoolBounds(connections_per_origin_max=1)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(script) as provider,
    ):
        answer = await client.send(request(provider.origin()))
        waiting = [asyncio.ensure_future(client.send(request(provider.origin()))) for _ in range(3)]
        await soon(lambda: client.stats().waiting == 3)
        waiting[0].cancel()
        answer.abort()
        await soon(lambda: provider.visits == 2)
        waiting[1].cancel()
        last = await waiting[2]

        assert last.status == 200
        last.abort()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_is_given_to_a_request_in_the_moment_it_is_cancelled_goes_on(client_tls: SessionContext) -> None:
    bounds = PoolBounds(connections_per_origin_max=1)
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
        ScriptedProvider(streaming) as provider,
    ):
        for _ in range(5):
            answer = await client.send(request(provider.origin()))
            loser = asyncio.ensure_future(client.send(request(provider.origin())))
            await soon(lambda: client.stats().waiting == 1)
            answer.abort()
            while client.stats().waiting:
                await asyncio.sleep(0)
            loser.cancel()
            await asyncio.gather(loser, return_exceptions=True)
        answer = await client.send(request(provider.origin()))

        assert answer.status == 200
        answer.abort()


async def test_idle_and_old_connections_retire(client_tls: SessionContext, clock: FakeClock) -> None:
    async with (
        UpstreamClient(clock=clock, tls=client_tls) as client,
        ScriptedProvider(numbered()) as provider,
    ):

        async def number() -> bytes:
            return b"".join((await client.send(request(provider.origin()))).take())

        seen = [await number()]
        clock.advance(29)
        seen.append(await number())
        clock.advance(31)
        seen.append(await number())
        for _ in range(11):
            clock.advance(28)
            seen.append(await number())

        assert seen == [b"1", b"1"] + [b"2"] * 11 + [b"3"]


async def test_a_sweep_closes_what_is_idle_too_long(client_tls: SessionContext, clock: FakeClock) -> None:
    async with (
        UpstreamClient(clock=clock, tls=client_tls) as client,
        ScriptedProvider(numbered()) as provider,
    ):
        await asyncio.gather(*(client.send(request(provider.origin())) for _ in range(3)))
        clock.advance(31)
        client.sweep()
        await soon(lambda: len(provider.left) == 3)

        assert client.stats().open == 0


async def test_cancelling_before_the_head_closes_the_connection(client: UpstreamClient) -> None:
    async with ScriptedProvider(silent) as provider:
        sending = asyncio.ensure_future(client.send(request(provider.origin())))
        await soon(lambda: provider.visits == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await soon(lambda: len(provider.left) == 1)

        assert client.stats().open == 0


async def test_cancelling_while_the_body_is_sent_closes_the_connection(client: UpstreamClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def script(visit: Visit) -> None:
        await visit.left()

    async with ScriptedProvider(script) as provider:
        for body in (ChunkedBody(endless(), None), b"x" * 50_000_000):
            sending = asyncio.ensure_future(client.send(request(provider.origin(), body=body)))
            await asyncio.sleep(0.02)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await soon(lambda: len(provider.left) == 2)

        assert client.stats().open == 0


async def test_aborting_an_answer_closes_the_connection(client: UpstreamClient) -> None:
    async with ScriptedProvider(streaming) as provider:
        answer = await client.send(request(provider.origin()))
        answer.abort()
        answer.abort()
        await soon(lambda: len(provider.left) == 1)

        assert client.stats().open == 0
        assert not answer.is_finished
        answer.take()
        with pytest.raises(StreamBroken):
            await answer.more()


async def test_a_cancelled_reader_can_still_abort(client: UpstreamClient) -> None:
    async with ScriptedProvider(streaming) as provider:
        answer = await client.send(request(provider.origin()))
        answer.take()
        reading = asyncio.ensure_future(answer.more())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        answer.abort()
        await soon(lambda: len(provider.left) == 1)


async def test_reading_stops_while_nobody_takes(client: UpstreamClient) -> None:
    sent_bytes = 0

    async def script(visit: Visit) -> None:
        nonlocal sent_bytes
        visit.writer.transport.set_write_buffer_limits(high=0)
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1024 * 65536))
        for _ in range(1024):
            await visit.send(b"x" * 65536)
            sent_bytes += 65536
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), idle_timeout_s=0.05))
        sent_before = -1
        while sent_bytes != sent_before:
            sent_before = sent_bytes
            await asyncio.sleep(0.1)
        held_bytes = sum(map(len, answer.parts))
        received_bytes = 0
        while await answer.more():
            received_bytes += sum(map(len, answer.take()))

        assert 256 * 1024 <= held_bytes <= 1024 * 1024
        assert sent_before < 32 * 1024 * 1024
        assert received_bytes == 1024 * 65536


async def test_closing_the_client_breaks_what_is_under_way(client_tls: SessionContext) -> None:
    async with ScriptedProvider(streaming) as provider, ScriptedProvider(silent) as mute:
        bounds = PoolBounds(connections_per_origin_max=1)
        async with UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client:
            answer = await client.send(request(provider.origin()))
            answer.take()
            sending = [asyncio.ensure_future(client.send(request(mute.origin()))) for _ in range(2)]
            await soon(lambda: mute.visits == 1 and client.stats().waiting == 1)
        outcomes = await asyncio.gather(*sending, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [UpstreamClosed, Overloaded]
        with pytest.raises(StreamBroken):
            await answer.more()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_requests_cancelled_at_any_moment_leave_nothing(
    client_tls: SessionContext, server_tls: ssl.SSLContext, is_tls: bool
) -> None:
    randomness = random.Random(7)

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(STREAM_START, b"5\r\nworld\r\n", b"0\r\n\r\n")

    async def one(client: UpstreamClient, origin: Origin) -> None:
        answer = await client.send(request(origin, body=b"x" * randomness.choice((10, 200_000))))
        try:
            await whole(answer)
        finally:
            answer.abort()

    bounds = PoolBounds(connections_per_origin_max=4)
    async with (
        ScriptedProvider(script, tls=server_tls if is_tls else None) as provider,
        UpstreamClient(clock=SystemClock(), tls=client_tls, bounds=bounds) as client,
    ):
        origin = provider.origin(host="127.0.0.1")
        running = []
        for _ in range(150):
            running.append(asyncio.ensure_future(one(client, origin)))
            for _ in range(randomness.randrange(4)):
                await asyncio.sleep(randomness.choice((0, 0, 0.001)))
            if randomness.random() < 0.7:
                randomness.choice(running).cancel()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        after = await client.send(request(origin))

        assert await whole(after) == b"helloworld"
        assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
        assert client.stats().open <= 4
        assert client.stats().waiting == 0
