"""The server against clients that misbehave, seen through plain gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from services.kit.rpc.bounds import Bounds
from services.kit.rpc.server import RpcServer
from tests.fakes.owner import Owner
from tests.fakes.parrot import METHOD, WIRE, Parrot, Said, conversation


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
async def server(parrot: Parrot) -> AsyncIterator[RpcServer]:
    server = RpcServer("127.0.0.1:0", bounds=Bounds(bytes_max=1024 * 1024))
    server.add(conversation(), parrot)
    async with server:
        yield server


@pytest.fixture
async def channel(server: RpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


def message(*items: Said, probe: int = 0) -> bytes:
    return WIRE.encode(items, probe)


async def ended(call: grpc.aio.StreamStreamCall) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """How the stream ended: status, details, trailing metadata."""
    return await call.code(), await call.details(), dict(await call.trailing_metadata())


async def test_a_probe_is_echoed_while_the_session_is_busy(parrot: Parrot, channel: grpc.aio.Channel) -> None:
    parrot.gate.clear()
    call = channel.stream_stream(METHOD)()

    await call.write(message((1, "hello", b"")))
    await call.write(message(probe=7))
    echo = WIRE.decode(await call.read())
    parrot.gate.set()
    answer = WIRE.decode(await call.read())

    assert echo == ([], 7)
    assert answer == ([(1, "hello", b"")], 0)
    call.cancel()


async def test_an_error_of_ours_ends_the_stream_as_itself(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream(METHOD)()

    await call.write(message((1, "refuse", b"")))

    assert await ended(call) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "enough said",
        {"narrows-error-code": "2012", "narrows-retry-after-s": "2.5"},
    )


async def test_an_unforeseen_error_says_nothing_of_itself(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    call = channel.stream_stream(METHOD)()

    await call.write(message((1, "fail", b"")))

    assert await ended(call) == (grpc.StatusCode.INTERNAL, "internal error", {"narrows-error-code": "2000"})
    assert "ZeroDivisionError" in caplog.text


async def test_bytes_that_are_no_message_end_the_stream_as_malformed(
    parrot: Parrot, channel: grpc.aio.Channel, owner: Owner
) -> None:
    call = channel.stream_stream(METHOD)()

    await call.write(b"\xc1")

    code, _, trailers = await ended(call)
    assert (code, trailers) == (grpc.StatusCode.INVALID_ARGUMENT, {"narrows-error-code": "2004"})
    await owner.until(lambda: parrot.sessions[0].closed == 1)


async def test_a_method_nobody_serves_is_not_implemented(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/narrows.test.v1.Parrot/Sing")()

    assert await call.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_client_that_is_done_gets_its_last_answers_and_a_proper_end(
    parrot: Parrot, channel: grpc.aio.Channel
) -> None:
    call = channel.stream_stream(METHOD)()

    await call.write(message((1, "hello", b"")))
    await call.done_writing()
    answer = WIRE.decode(await call.read())

    assert answer == ([(1, "hello", b"")], 0)
    assert await call.code() == grpc.StatusCode.OK
    assert parrot.sessions[0].closed == 1


async def test_a_client_that_vanishes_has_its_session_closed(
    parrot: Parrot, channel: grpc.aio.Channel, owner: Owner
) -> None:
    call = channel.stream_stream(METHOD)()
    await call.write(message((1, "hello", b"")))
    await call.read()

    call.cancel()
    await owner.until(lambda: parrot.sessions[0].closed == 1)

    assert parrot.sessions[0].batches == [[(1, "hello", b"")]]


async def test_a_client_that_vanishes_during_receive_has_its_session_closed_after_it(
    parrot: Parrot, channel: grpc.aio.Channel, owner: Owner
) -> None:
    parrot.gate.clear()
    call = channel.stream_stream(METHOD)()
    await call.write(message((1, "hello", b"")))
    await owner.until(lambda: parrot.sessions)

    call.cancel()
    await owner.until(lambda: parrot.sessions[0].closed == 1)

    assert parrot.sessions[0].batches == []


async def test_a_client_that_does_not_read_is_cut_off(parrot: Parrot, channel: grpc.aio.Channel, owner: Owner) -> None:
    call = channel.stream_stream(METHOD)()

    async def talk() -> None:
        while True:
            await call.write(message(*[(number, "hello", b"x" * 50_000) for number in range(1, 20)]))

    talking = asyncio.create_task(talk())
    await owner.until(lambda: parrot.sessions and parrot.sessions[0].closed == 1)
    talking.cancel()
    await asyncio.wait((talking,))

    assert parrot.sessions[0].closed == 1


async def test_replies_after_the_end_are_dropped(parrot: Parrot, channel: grpc.aio.Channel, owner: Owner) -> None:
    call = channel.stream_stream(METHOD)()
    await call.write(message((1, "hello", b"")))
    await call.read()
    call.cancel()
    await owner.until(lambda: parrot.sessions[0].closed == 1)

    for _ in range(100):
        parrot.sessions[0].reply((1, "hello", b"x" * 50_000))

    assert parrot.sessions[0].closed == 1


async def test_a_stopping_server_finishes_what_came_and_sends_clients_elsewhere(parrot: Parrot) -> None:
    server = RpcServer("127.0.0.1:0")
    server.add(conversation(), parrot)
    async with server:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        call = channel.stream_stream(METHOD)()
        await call.write(message((1, "hello", b"")))
        await call.write(message(probe=1))
        while WIRE.decode(await call.read())[1] != 1:
            pass
    code, _, trailers = await ended(call)
    await channel.close()

    assert parrot.heard == [(1, "hello", b"")]
    assert parrot.sessions[0].closed == 1
    assert (code, trailers) == (grpc.StatusCode.UNAVAILABLE, {"narrows-error-code": "2104"})


async def test_an_address_that_is_taken_is_refused(server: RpcServer) -> None:
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}"):
        async with RpcServer(f"127.0.0.1:{server.port}"):
            pass
