"""
Reply: the answer to one request, written to the client as bytes.

Nothing is added that a provider did not say: no Server, no Date, no Content-Type. aiohttp's loop asks an
answer for `prepare`, `write_eof` and `keep_alive`; by then everything has been written. Hazard: a broken answer
must not look whole, so `break_off` closes without the framing's end and `is_last` is final.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from services.kit.errors import NarrowsError

if TYPE_CHECKING:
    from services.edge.port.connection import Connection

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def status_line(status: int, reason: bytes = b"") -> bytes:
    """The first line of an answer, with its line end."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason or _REASONS.get(status, b""))


def refusal_bytes(error: NarrowsError) -> bytes:
    """A whole answer for errors before any surface is known; the connection closes after it."""
    body = msgspec.json.encode({"success": False, "error": [{"code": error.code, "message": error.message}]})
    retry_after = (
        b"Retry-After: %d\r\n" % max(1, round(error.retry_after_s)) if error.retry_after_s is not None else b""
    )
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
    own = b"cf-aig-error-code: %d\r\n%b" % (error.code, retry_after)
    return b"%b%b%b\r\n%b" % (status_line(error.http_status), framing, own, body)


class Reply:
    """Bytes to one client. `is_started`: some have been written. `is_last`: the connection closes after it."""

    __slots__ = ("_connection", "bytes_sent", "is_last", "is_started")

    def __init__(self, connection: Connection, *, is_last: bool) -> None:
        self._connection = connection
        self.is_last = is_last
        self.is_started = False
        self.bytes_sent = 0

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return not self.is_last

    @property
    def is_gone(self) -> bool:
        """The client has left; what is written goes nowhere."""
        return self._connection.is_gone

    def send(self, content: bytes) -> None:
        """Write now; never waits. Without effect when the client is gone."""
        self.is_started = True
        transport = self._connection.transport
        if transport is not None:
            self.bytes_sent += len(content)
            transport.write(content)

    @property
    def is_slow(self) -> bool:
        """The client has not read what was sent: wait for `drained` before reading more."""
        return self._connection.writing_is_paused

    async def drained(self, timeout_s: float) -> None:
        """Wait until the client has read. Raises TimeoutError after `timeout_s`, ConnectionError when it is gone."""
        async with asyncio.timeout(timeout_s):
            await self._connection.drained()

    def break_off(self) -> None:
        """End without the framing's end: the client must see that the answer is not whole."""
        self.is_last = True
        transport = self._connection.transport
        if transport is not None:
            transport.close()

    def abort(self) -> None:
        """Drop the connection and whatever is still in its buffer: the client does not read."""
        self.is_last = True
        transport = self._connection.transport
        if transport is not None:
            transport.abort()

    async def prepare(self, request: object) -> None:
        """aiohttp: everything has been written already."""

    async def write_eof(self) -> None:
        """aiohttp: everything has been written already."""
