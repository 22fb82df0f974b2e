"""
A client that writes octets and reads octets.

Every library between a test and the port would normalise what the port is judged by, so this one knows just enough of
HTTP to tell where an answer ends, and says whether it ended properly.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

_WAIT_S = 10.0


@dataclass
class RawAnswer:
    """One answer. `is_whole`: its framing came to its end. `chunks`: as they were framed."""

    line: bytes
    headers: list[tuple[str, str]]
    chunks: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json.loads(self.body)

    def get(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for known, value in self.headers if known.lower() == name), None)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> RawClient:
        return cls(*await asyncio.open_connection(host, port, limit=2**22))

    async def send(self, content: bytes) -> None:
        """Write octets."""
        self.writer.write(content)
        await self.writer.drain()

    async def ask(self, content: bytes, *, method: str = "") -> RawAnswer:
        """Write a request and read its answer."""
        await self.send(content)
        return await self.answer(method=method or content.partition(b" ")[0].decode("latin-1"))

    async def head(self) -> RawAnswer:
        """The status line and headers of the next answer, 1xx or not. Raises IncompleteReadError at the end."""
        async with asyncio.timeout(_WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].split(b"\r\n")
        headers = []
        for each in lines:
            name, _, value = each.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        return RawAnswer(line, headers)

    async def answer(self, *, method: str = "GET") -> RawAnswer:
        """The next whole answer, or what came of it."""
        answer = await self.head()
        while answer.status < 200:
            answer = await self.head()
        if method == "HEAD" or answer.status in (204, 304):
            answer.is_whole = True
            return answer
        return await self.rest(answer)

    async def rest(self, answer: RawAnswer) -> RawAnswer:
        """The body of an answer whose head was read, or what came of it."""
        async with asyncio.timeout(_WAIT_S):
            await self._body(answer)
        return answer

    async def ended(self) -> bytes:
        """Everything that still comes until the server closes; a reset is an end too."""
        rest = b""
        async with asyncio.timeout(_WAIT_S):
            try:
                while piece := await self.reader.read(65536):
                    rest += piece
            except ConnectionError:
                pass
        return rest

    def half_close(self) -> None:
        """No more bytes from this side."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Vanish, with RST."""
        sock = cast(socket.socket, self.writer.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def _body(self, answer: RawAnswer) -> None:
        try:
            length = answer.get("content-length")
            if (answer.get("transfer-encoding") or "").lower() == "chunked":
                await self._chunks(answer)
            elif length is not None:
                answer.chunks.append(await self.reader.readexactly(int(length)))
            else:
                while piece := await self.reader.read(65536):
                    answer.chunks.append(piece)
            answer.is_whole = True
        except asyncio.IncompleteReadError as error:
            answer.chunks += [error.partial] if error.partial else []
        except ConnectionError:
            return

    async def _chunks(self, answer: RawAnswer) -> None:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            answer.chunks.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readuntil(b"\r\n")


def request(
    target: str | bytes, *headers: bytes, method: bytes = b"GET", body: bytes | None = None, version: bytes = b"1.1"
) -> bytes:
    """A request's octets. A body gets its length unless a header frames it."""
    raw_target = target.encode("latin-1") if isinstance(target, str) else target
    lines = [b"%b %b HTTP/%b" % (method, raw_target, version)]
    if not any(header.lower().startswith(b"host:") for header in headers):
        lines.append(b"Host: gateway.test")
    lines.extend(headers)
    if body is not None and not any(
        header.lower().startswith((b"content-length:", b"transfer-")) for header in headers
    ):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def post(target: str, body: bytes, *headers: bytes) -> bytes:
    """A POST of JSON."""
    return request(target, b"Content-Type: application/json", *headers, method=b"POST", body=body)
