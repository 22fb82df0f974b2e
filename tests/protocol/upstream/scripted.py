"""
A provider that follows a script: each connection runs one coroutine that reads requests and writes exact bytes.

It knows HTTP only as far as it must to find the end of a request, so it can misbehave in every way a real one does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, cast

import msgspec

from services.edge.upstream.origin import Origin

STREAM_START = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


class Received(msgspec.Struct):
    """A request as it came."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]


class Visit:
    """One connection, as the script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> bytes:
        """The next request's head. Raises IncompleteReadError when the client has left."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> Received:
        """The next request with its body."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return Received(head, await self._chunks())
        _, found, rest = lower.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0]) if found else 0
        return Received(head, await self.reader.readexactly(length))

    async def send(self, *pieces: bytes) -> None:
        """Bytes as they are; several pieces leave in several segments."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.001)

    async def left(self) -> None:
        """Returns when the client has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if size == 0:
                return body


Script = Callable[[Visit], Awaitable[None]]


class ScriptedProvider:
    """Listens while it is entered. `received`: every request that `answer_all` read; `visits`: connections so far."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.visits = 0
        self.received: list[Received] = []
        self.left: list[float] = []
        """Loop times at which connections ended."""
        self._script = script
        self._tls = tls
        self._host = host
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._visit, self._host, 0, ssl=self._tls)
        self.port = cast(int, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()

    def origin(self, *, host: str = "127.0.0.1") -> Origin:
        scheme = "https" if self._tls is not None else "http"
        return Origin.parse(f"{scheme}://{host}:{self.port}", is_private_allowed=True)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._running.add(task)
        try:
            await self._script(Visit(reader, writer, self.visits))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(task)
            self.left.append(asyncio.get_running_loop().time())
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


def answering(*answers: bytes, pieces: Callable[[bytes], list[bytes]] = lambda answer: [answer]) -> Script:
    """A script that gives these answers in turn on each connection, and the last one from then on."""

    async def script(visit: Visit) -> None:
        turn = 0
        while True:
            await visit.request()
            await visit.send(*pieces(answers[min(turn, len(answers) - 1)]))
            turn += 1

    return script


def numbered(*, requests_each: int | None = None) -> Script:
    """Answers with the connection's number; closes after so many requests."""

    async def script(visit: Visit) -> None:
        count = 0
        while requests_each is None or count < requests_each:
            await visit.request()
            await visit.send(ok(b"%d" % visit.number))
            count += 1

    return script


async def silent(visit: Visit) -> None:
    await visit.request()
    await visit.left()


async def streaming(visit: Visit) -> None:
    await visit.request()
    await visit.send(STREAM_START)
    await visit.left()


def ok(body: bytes = b"{}", *headers: bytes) -> bytes:
    """A plain 200 with a length."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), lines, body)


def chunked(*chunks: bytes, headers: bytes = b"") -> bytes:
    """A 200 in chunks, complete."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%b\r\n%b0\r\n\r\n" % (headers, framed)
