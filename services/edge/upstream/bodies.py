"""
Bodies: how a request's body leaves, as fast as the provider takes it and no faster.

A small body leaves with its head in one write and never comes here. A large one that is held leaves in slices, driven
by the transport's own callbacks; one that streams in needs a task, because its pieces are awaited. Both can be
stopped at any moment: a provider that answers before it has read everything (413, 401) wants no more. Neither changes
connections: what is held begins anew, and what streams in exists once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from services.edge.upstream.request import ChunkedBody
from services.kit.errors import Malformed

SLICE_BYTES = 256 * 1024

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Outlet(Protocol):
    """The connection, as a body sees it."""

    is_write_paused: bool

    def write(self, chunk: bytes | memoryview) -> None:
        """Put bytes into the transport."""
        ...

    async def drained(self) -> None:
        """Wait until the transport wants more."""
        ...

    def upload_failed(self, error: Exception) -> None:
        """The body's own source failed; the request cannot be completed."""
        ...


class Upload(Protocol):
    """A body on its way."""

    @property
    def is_done(self) -> bool:
        """All of it has been written."""
        ...

    def resume(self) -> None:
        """The transport takes the first bytes, or more."""
        ...

    def detach(self) -> None:
        """The exchange is over: nothing is sent any more, and no failure told."""
        ...

    def stop(self) -> None:
        """Nobody wants the rest."""
        ...


def upload_of(body: bytes | ChunkedBody, outlet: Outlet, *, spawn: Spawn) -> Upload:
    """The way for this body to this connection."""
    return HeldUpload(body, outlet) if isinstance(body, bytes) else StreamedUpload(body, outlet, spawn=spawn)


class HeldUpload:
    """A body that is all here."""

    def __init__(self, body: bytes, outlet: Outlet) -> None:
        self._rest = memoryview(body)
        self._outlet: Outlet | None = outlet

    @property
    def is_done(self) -> bool:
        return not self._rest

    def detach(self) -> None:
        self._outlet = None

    def resume(self) -> None:
        while self._rest and self._outlet is not None and not self._outlet.is_write_paused:
            piece, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
            self._outlet.write(piece)

    def stop(self) -> None:
        self.detach()


class StreamedUpload:
    """A body that comes in pieces. The task belongs to whoever gave `spawn`."""

    def __init__(self, body: ChunkedBody, outlet: Outlet, *, spawn: Spawn) -> None:
        self.is_done = False
        self._body = body
        self._outlet: Outlet | None = outlet
        self._task = spawn(self._pump())
        self._task.add_done_callback(self._ended)

    def detach(self) -> None:
        self._outlet = None

    def resume(self) -> None:
        """The task waits for itself."""

    def stop(self) -> None:
        self._task.cancel()

    async def _pump(self) -> None:
        length_bytes = self._body.length_bytes
        sent_bytes = 0
        async for piece in self._body.pieces:
            if not piece:
                continue
            sent_bytes += len(piece)
            if length_bytes is not None and sent_bytes > length_bytes:
                raise Malformed(f"the request body has more bytes than its Content-Length says: {length_bytes}")
            await self._write(piece if length_bytes is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
            self.is_done = sent_bytes == length_bytes
        if length_bytes is None:
            await self._write(b"0\r\n\r\n")
        elif sent_bytes < length_bytes:
            raise Malformed(f"the request body has {sent_bytes} bytes, its Content-Length says {length_bytes}")
        self.is_done = True

    async def _write(self, chunk: bytes) -> None:
        outlet = self._outlet
        if outlet is not None:
            outlet.write(chunk)
            if outlet.is_write_paused:
                await outlet.drained()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A failure is told to the connection, if it is still about this body."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self._outlet is not None:
            self._outlet.upload_failed(error)
