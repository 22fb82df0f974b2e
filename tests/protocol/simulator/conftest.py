"""A simulator on a real port, and a client that sees the very bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.kit.clock import SystemClock
from services.simulator.module import simulator


@dataclass(slots=True)
class Reply:
    """What came on the socket until it was closed, or until nothing came any more."""

    status: int
    headers: dict[str, str]
    framed: bytes
    is_closed: bool
    chunks: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """Payloads of the stream's events."""
        payloads = [event.rpartition("data: ")[2] for event in self.body.decode().split("\n\n")]
        return payloads[:-1]


class RawClient:
    """One request a connection, written and read by hand."""

    def __init__(self, url: str) -> None:
        self._address = (urlsplit(url).hostname, urlsplit(url).port)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection."""
        return await asyncio.open_connection(*self._address)

    async def open(
        self, path: str, body: Any = None, *, method: str = "", **knobs: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request; knobs are `x-simulator-*` headers with underscores."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1",
            "host: simulator",
            "connection: close",
        ]
        lines += [f"x-simulator-{name.replace('_', '-')}: {value}" for name, value in knobs.items()]
        lines += [f"content-length: {len(raw)}", "", ""]
        reader, writer = await self.connect()
        writer.write("\r\n".join(lines).encode() + raw)
        await writer.drain()
        return reader, writer

    async def call(self, path: str, body: Any = None, *, silence_s: float = 5.0, **knobs: object) -> Reply:
        """The whole exchange; reading ends when the simulator closes, or is silent for that long."""
        reader, writer = await self.open(path, body, **knobs)
        received, is_closed = bytearray(), False
        try:
            async with asyncio.timeout(silence_s):
                while piece := await reader.read(65_536):
                    received += piece
                is_closed = True
        except TimeoutError:
            pass
        finally:
            writer.close()
        return _parsed(bytes(received), is_closed=is_closed)

    async def calls(self, session: str) -> dict[str, Any]:
        """The journal of a session."""
        reply = await self.call(f"/v1/_calls?session={session}")
        journal: dict[str, Any] = reply.json
        return journal


def _parsed(received: bytes, *, is_closed: bool) -> Reply:
    head, _, framed = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    reply = Reply(int(status_line.split()[1]), headers, framed, is_closed)
    if headers.get("transfer-encoding") == "chunked":
        _unchunk(reply)
    else:
        reply.chunks = [framed]
        reply.is_whole = len(framed) == int(headers.get("content-length", len(framed)))
    return reply


def _unchunk(reply: Reply) -> None:
    rest = reply.framed
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            reply.is_whole = True
            return
        reply.chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    """A client of a running simulator."""
    async with simulator(clock=SystemClock()) as url:
        yield RawClient(url)
