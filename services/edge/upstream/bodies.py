"""
Bodies: how a request's body leaves, as fast as the provider takes it and no faster.

A small body leaves with its head in one write and never comes here. A large one that is held leaves in slices, driven
by the transport's own callbacks; one that streams in needs a task, because its pieces are awaited. Both can be
stopped at any moment: a provider that answers before it has read everything (413, 401) wants no more.
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

    @property
    def is_repeatable(self) -> bool:
        """It can be sent from its start over another connection."""
        ...

    def attach(self, outlet: Outlet) -> None:
        """Send it here, from the start."""
        ...

    def detach(self) -> None:
        """Send nothing until it is attached again."""
        ...

    def resume(self) -> None:
        """The transport takes more."""
        ...

    def stop(self) -> None:
        """Nobody wants the rest."""
        ...


def upload_of(body: bytes | ChunkedBody, *, spawn: Spawn) -> Upload:
    """The way for this body."""
    return HeldUpload(body) if isinstance(body, bytes) else StreamedUpload(body, spawn=spawn)


class HeldUpload:
    """A body that is all here."""

    is_repeatable = True

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._rest = memoryview(body)
        self._outlet: Outlet | None = None

    @property
    def is_done(self) -> bool:
        return not self._rest

    def attach(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._rest = memoryview(self._body)
        self.resume()

    def detach(self) -> None:
        self._outlet = None

    def resume(self) -> None:
        while self._rest and self._outlet is not None and not self._outlet.is_write_paused:
            piece, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
            self._outlet.write(piece)

    def stop(self) -> None:
        self.detach()


class StreamedUpload:
    """
    A body that comes in pieces. The task belongs to whoever gave `spawn`.

    Hazard: cancelling a source that is being awaited ends it, and what is missing would look like the body's end. So a
    body that changes connections is detached, never stopped: the same await goes on.
    """

    def __init__(self, body: ChunkedBody, *, spawn: Spawn) -> None:
        self.is_done = False
        self.is_repeatable = True
        self._body = body
        self._outlet: Outlet | None = None
        self._attached = asyncio.Event()
        self._task = spawn(self._pump())
        self._task.add_done_callback(self._ended)

    def attach(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._attached.set()
        if self._task.done():
            self._ended(self._task)

    def detach(self) -> None:
        self._outlet = None
        self._attached.clear()

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
        outlet = await self._to_outlet()
        self.is_repeatable = False
        outlet.write(chunk)
        if outlet.is_write_paused:
            await outlet.drained()

    async def _to_outlet(self) -> Outlet:
        while self._outlet is None:
            await self._attached.wait()
        return self._outlet

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A failure is told to the connection that has the body, or to the next one that gets it."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self._outlet is not None:
            self._outlet.upload_failed(error)
