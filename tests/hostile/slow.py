"""Attacks that take their time: heads and bodies that never end, clients that never read, and idle ones in numbers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.hostile.attack import CHAT, UNIVERSAL, Edge, Result, all_of, expect
from tests.protocol.port.raw import RawClient, post, request

SLOW = 300
IDLE = 1_000
"""Of each sort, so 2,000."""
DEAF = 12
HEAD_S, BODY_S, REST_S, IDLE_S = 10.0, 30.0, 75.0, 3.0
"""As docs/wire.md and the gateway `impatient` state them."""
LATE_S = 5.0
"""A machine that is attacked may be so late."""
_DEAF_PATH = "/v1/local/impatient/openai"
_RECEIVED_BYTES_MAX = 16 * 2**20
"""What a client that does not read may find in the buffers of two kernels and the edge."""


async def slow_heads(edge: Edge) -> Result:
    """A few octets now and then: 408 after 10 s, whatever comes meanwhile."""

    async def one() -> str:
        async with edge.client() as client:
            dripping = asyncio.ensure_future(_drip(client, f"GET {CHAT} HTTP/1.1\r\nHost: a\r\nX-".encode(), b"a"))
            try:
                return await _expect_408(client, HEAD_S, "slow head")
            finally:
                dripping.cancel()

    return await all_of([one() for _ in range(SLOW)])


async def slow_bodies(edge: Edge) -> Result:
    """The beginning of a body and nothing more: 408 after 30 s."""
    begun = (
        post(CHAT, b"x" * 1_000)[:-900],
        post(CHAT, b"x" * 200_000)[:-900],
        post(UNIVERSAL, b"x" * 1_000_000)[:-900],
        request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=b"5\r\n{"),
    )

    async def one(content: bytes) -> str:
        async with edge.client() as client:
            await client.send(content)
            return await _expect_408(client, BODY_S, "slow body")

    return await all_of([one(begun[number % len(begun)]) for number in range(SLOW)])


async def silent(edge: Edge) -> Result:
    """Connections that never say a word: 408 after 10 s."""

    async def one() -> str:
        async with edge.client() as client:
            return await _expect_408(client, HEAD_S, "silent")

    return await all_of([one() for _ in range(IDLE)])


async def resting(edge: Edge) -> Result:
    """Connections that rest after a good request: closed after 75 s, and not much before."""
    gate = asyncio.Semaphore(20)

    async def one() -> str:
        async with gate:
            client = await edge.connect()
            began_s = time.monotonic()
            fault = await expect(client, post(CHAT, b"{}"), 200, name="resting")
        try:
            async with asyncio.timeout(REST_S + LATE_S):
                rest = b"" if fault else await client.reader.read()
        except TimeoutError:
            return "resting: still open"
        finally:
            await client.close()
        rested_s = time.monotonic() - began_s
        is_stated = rested_s > REST_S - 1 and not rest
        return fault or ("" if is_stated else f"resting: {rest[:40]!r} after {rested_s:.1f} s")

    return await all_of([one() for _ in range(IDLE)])


async def deaf_to_a_flood(edge: Edge) -> Result:
    """Clients that ask for an endless answer and never read: closed after the gateway's `idleMs`."""

    async def one() -> str:
        async with _deaf(edge) as sock:
            await asyncio.get_running_loop().sock_sendall(sock, post(f"{_DEAF_PATH}/flood", b"{}"))
            return await _expect_closed(sock, IDLE_S, "deaf to a flood")

    return await all_of([one() for _ in range(DEAF)])


async def deaf_and_asking(edge: Edge) -> Result:
    """Clients that ask on and on and never read: soon nothing of theirs is taken, and then they are closed."""

    async def one(path: str) -> str:
        async with _deaf(edge) as sock:
            asking = asyncio.ensure_future(_ask_on(sock, request(path)))
            try:
                return await _expect_closed(sock, REST_S, f"deaf and asking {path}")
            finally:
                asking.cancel()
                await asyncio.wait((asking,))

    paths = (f"{_DEAF_PATH}/models", f"{_DEAF_PATH}/../models", "/v1/local/nobody/openai/models")
    return await all_of([one(paths[number % len(paths)]) for number in range(DEAF)])


async def _drip(client: RawClient, begun: bytes, drop: bytes) -> None:
    await client.send(begun)
    while True:
        await asyncio.sleep(0.5)
        client.writer.write(drop)


async def _expect_408(client: RawClient, after_s: float, name: str) -> str:
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(after_s + LATE_S):
            answer = await client.reader.read()
    except (OSError, TimeoutError) as error:
        return f"{name}: {type(error).__name__} after {time.monotonic() - began_s:.1f} s"
    took_s = time.monotonic() - began_s
    is_stated = answer.startswith(b"HTTP/1.1 408 ") and b"cf-aig-error-code: 2005" in answer
    return "" if is_stated and took_s > after_s - 1 else f"{name}: {answer[:60]!r} after {took_s:.1f} s"


@asynccontextmanager
async def _deaf(edge: Edge) -> AsyncIterator[socket.socket]:
    """A connection that nothing reads from, not even a stream's buffer."""
    parts = urlsplit(edge.url)
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
        yield sock


async def _ask_on(sock: socket.socket, content: bytes) -> None:
    with suppress(OSError):
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, content * 100)


async def _expect_closed(sock: socket.socket, after_s: float, name: str) -> str:
    """By then there is an end to what comes, and it was not much."""
    await asyncio.sleep(after_s + LATE_S)
    received = 0
    try:
        async with asyncio.timeout(LATE_S):
            while piece := await asyncio.get_running_loop().sock_recv(sock, 2**20):
                received += len(piece)
    except TimeoutError:
        return f"{name}: still open after {received} bytes"
    except ConnectionError:
        pass
    return "" if received < _RECEIVED_BYTES_MAX else f"{name}: {received} bytes were waiting"
