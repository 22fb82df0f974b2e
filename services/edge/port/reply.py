"""
Reply: the answer to one request, written to the client as bytes.

Nothing is added that a provider did not say: no Server, no Date, no Content-Type. aiohttp asks an answer
for `prepare` and `write_eof` behind an upgrade; by then everything has been written. Hazard: a broken answer
must not look whole, so `break_off` ends without the framing's end, and whether the connection closes is decided once,
when the head is written (`decide`).
"""

from __future__ import annotations

import asyncio
import math
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import StreamReader
from aiohttp.streams import EMPTY_PAYLOAD

from services.kit.errors import NarrowsError

if TYPE_CHECKING:
    from services.edge.port.connection import Connection

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@lru_cache(maxsize=256)  # the same few come again and again
def status_line(status: int, reason: bytes = b"") -> bytes:
    """The first line of an answer, with its line end."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason or _REASONS.get(status, b""))


def error_lines(error: NarrowsError) -> bytes:
    """The header lines that every error of ours has, whatever its body's shape."""
    retry_after_s = error.retry_after_s
    if retry_after_s is None:
        return b"cf-aig-error-code: %d\r\n" % error.code
    return b"cf-aig-error-code: %d\r\nRetry-After: %d\r\n" % (error.code, max(1, math.ceil(retry_after_s)))


def refusal_bytes(error: NarrowsError, *, log_id: str) -> bytes:
    """A whole answer for errors before any surface is known; the connection closes after it."""
    body = msgspec.json.encode({"success": False, "error": [{"code": error.code, "message": error.message}]})
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
    own = b"cf-aig-log-id: %b\r\n%b" % (log_id.encode(), error_lines(error))
    return b"%b%b%b\r\n%b" % (status_line(error.http_status), own, framing, body)


class Reply(msgspec.Struct, eq=False):
    """Bytes to one client. `is_last`: the connection closes after it."""

    connection: Connection
    payload: StreamReader
    """Of the request."""
    is_last: bool
    bytes_sent: int = 0

    @property
    def is_started(self) -> bool:
        """The client has been sent something."""
        return self.bytes_sent > 0

    @property
    def is_gone(self) -> bool:
        """The client has left; what is written goes nowhere."""
        return self.connection.is_gone

    @property
    def is_cut_short(self) -> bool:
        """The edge leaves now and the client is still there: who is cancelled can tell it why."""
        return self.connection.port.is_closing and not self.is_gone

    def decide(self) -> bool:
        """
        The head is about to be written: must it say that the connection closes?

        So it is when the edge stops, when some of the request's body has not come (nobody will wait for the rest), and
        when what comes behind it could not be told apart from it.
        """
        connection, body = self.connection, self.payload
        is_read = body is EMPTY_PAYLOAD or (body.is_eof() and connection.spent_behind is not body)
        if connection.has_lost or connection.port.is_draining or not is_read:
            self.is_last = True
        return self.is_last

    def send(self, content: bytes) -> None:
        """Write now; never waits. Without effect when the client is gone."""
        transport = self.connection.transport
        if transport is not None:
            self.bytes_sent += len(content)
            transport.write(content)

    @property
    def is_slow(self) -> bool:
        """The client has not read what was sent: wait for `drained` before reading more."""
        return self.connection._paused  # aiohttp's own property of it would be a call more for each event

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read yet, as far as it is here."""
        transport = self.connection.transport
        return transport.get_write_buffer_size() if transport is not None else 0

    async def drained(self, timeout_s: float) -> None:
        """Wait until the client has read. Raises TimeoutError after `timeout_s`, ConnectionError when it is gone."""
        async with asyncio.timeout(timeout_s):
            await self.connection.drained()

    def break_off(self) -> None:
        """End without the framing's end: the client must see that the answer is not whole."""
        self.is_last = True
        self.connection.part()

    def reset(self) -> None:
        """As `break_off`, where the end of the connection is the end of the answer: a reset is not to be mistaken."""
        self.is_last = True
        self.connection.reset()

    def abort(self) -> None:
        """Drop the connection and whatever is still in its buffer: the client does not read."""
        self.is_last = True
        transport = self.connection.transport
        if transport is not None:
            transport.abort()

    async def prepare(self, request: object) -> None:
        """aiohttp: everything has been written already."""

    async def write_eof(self) -> None:
        """aiohttp: everything has been written already."""
