"""
Bodies: how a request's body is taken from the client, held or passed on.

A held body shares one budget per edge with all others, so many large uploads shed load instead of filling
memory. A streamed body passes through in the pieces it came in. Both are counted against the size limit as they
come (a chunked one says no length), get `100 Continue` when they are first wanted, and must make progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.dialects.text_size import TextSize
from services.edge.capture import Capture
from services.edge.port.arrival import Arrival
from services.kit.errors import BodyTimeout, BodyTooLarge, Malformed, Overloaded


class BodyMemory:
    """
    Bytes that held bodies may take in this edge.

    Bodies that are still on their way leave a sixteenth of it to those that are here already: a few clients that send
    large bodies slowly do not keep everybody else out.
    """

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes_on_their_way_max = bytes_max - bytes_max // 16
        self.bytes_held = 0

    def take(self, size_bytes: int) -> None:
        """Claim memory for a held body. Raises Overloaded."""
        bytes_held = self.bytes_held + size_bytes
        if bytes_held > self._bytes_max:
            raise _no_memory()
        self.bytes_held = bytes_held

    def take_piece(self, size_bytes: int) -> None:
        """The same for a piece of a body that is still on its way. Raises Overloaded."""
        if self.bytes_held + size_bytes > self._bytes_on_their_way_max:
            raise _no_memory()
        self.bytes_held += size_bytes

    def give(self, size_bytes: int) -> None:
        """Free what `take` claimed."""
        self.bytes_held -= size_bytes


def _no_memory() -> Overloaded:
    return Overloaded("request bodies fill this edge's memory; try again soon", retry_after_s=1)


def declared_length(arrival: Arrival) -> int | None:
    """`Content-Length` in bytes; None for a chunked body. The parser has made sure that there is only one of them."""
    return None if arrival.is_chunked else int(arrival.headers.get("Content-Length", "0"))


def refuse_lost_codings(arrival: Arrival) -> None:
    """
    A transfer coding ends at this hop, and only chunks are undone here: what else is in it would be lost unnoticed.

    Raises Malformed.
    """
    if arrival.is_chunked and arrival.headers.get("Transfer-Encoding", "").strip().lower() != "chunked":
        raise Malformed("Transfer-Encoding: must be chunked; for a coding of the content itself use Content-Encoding")


def arrived_whole(arrival: Arrival) -> bytes | None:
    """The body if all of it is here already; else None."""
    if arrival.body is not None:
        return arrival.body
    return arrival.payload.read_nowait(-1) if arrival.payload.is_eof() else None


class BodyReader:
    """
    Reads one request's body in pieces. `bytes_read` counts what came, `text_size` the text in it; `capture` keeps a
    bounded copy for the log.
    """

    def __init__(
        self, arrival: Arrival, *, bytes_max: int, capture: Capture | None = None, text_size: TextSize | None = None
    ) -> None:
        self.capture = capture
        self.text_size = text_size
        self._arrival = arrival
        self._bytes_max = bytes_max
        self._is_asked_for = False
        self._first: bytes | None = None
        self.bytes_read = 0

    async def first(self) -> bytes:
        """The first piece, to look at; `pieces` gives it again. Raises as `pieces`."""
        if self._first is None:
            self._first = await self._next()
        return self._first

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises BodyTooLarge, BodyTimeout, Malformed."""
        piece = await self.first()
        while piece:
            yield piece
            piece = await self._next()

    async def whole(self, memory: BodyMemory) -> bytes:
        """All of it, held: the caller gives `bytes_read` back to `memory`. Raises as `pieces`, and Overloaded."""
        collected: list[bytes] = []
        taken = 0
        try:
            async for piece in self.pieces():
                memory.take_piece(len(piece))
                taken += len(piece)
                collected.append(piece)
        except BaseException:
            memory.give(taken)
            raise
        return b"".join(collected)

    def _ask(self) -> None:
        """
        The low-level server never answers `Expect: 100-continue`; the body is wanted now.

        HTTP/1.0 knows no interim answers, so there the expectation means nothing (RFC 9110, 10.1.1).
        """
        arrival = self._arrival
        if self._is_asked_for or arrival.headers.get("Expect", "").lower() != "100-continue":
            return
        self._is_asked_for = True
        transport = arrival.connection.transport
        if transport is not None and not arrival.payload.is_eof() and not arrival.is_http_1_0:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _next(self) -> bytes:
        """The next piece, counted; empty at the end."""
        self._ask()
        piece = await self._read()
        self.bytes_read += len(piece)
        if self.bytes_read > self._bytes_max:
            raise too_large(self._bytes_max)
        if self.capture is not None:
            self.capture.add(piece)
        if self.text_size is not None:
            self.text_size.feed(piece)
        return piece

    async def _read(self) -> bytes:
        progress_s = self._arrival.connection.bounds.body_progress_s
        try:
            async with asyncio.timeout(progress_s):
                return await self._arrival.payload.readany()
        except TimeoutError:
            raise BodyTimeout(f"no byte of the request's body came for {progress_s:g} s") from None


def too_large(bytes_max: int) -> BodyTooLarge:
    """The refusal of a body over the limit."""
    return BodyTooLarge(f"the request's body must be at most {bytes_max} bytes")
