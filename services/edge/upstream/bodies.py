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
        """It can be sent again from the start."""
        ...

    def resume(self) -> None:
        """The transport takes more."""
        ...

    def stop(self) -> None:
        """Nobody wants the rest."""
        ...


class HeldUpload:
    """A body that is all here."""

    is_repeatable = True

    def __init__(self, outlet: Outlet, body: bytes) -> None:
        self._outlet = outlet
        self._rest = memoryview(body)
        self.resume()

    @property
    def is_done(self) -> bool:
        return not self._rest

    def resume(self) -> None:
        while self._rest and not self._outlet.is_write_paused:
            piece, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
            self._outlet.write(piece)

    def stop(self) -> None:
        self._rest = memoryview(b"")


class StreamedUpload:
    """A body that comes in pieces. The task belongs to whoever gave `spawn`."""

    def __init__(self, outlet: Outlet, body: ChunkedBody, *, spawn: Spawn) -> None:
        self.is_done = False
        self.is_repeatable = True
        self._outlet = outlet
        self._body = body
        self._task = spawn(self._pump())
        self._task.add_done_callback(self._ended)

    def resume(self) -> None:
        """The task waits for itself."""

    def stop(self) -> None:
        self._task.cancel()

    async def _pump(self) -> None:
        sent_bytes = 0
        is_chunked = self._body.length_bytes is None
        async for piece in self._body.pieces:
            if not piece:
                continue
            self.is_repeatable = False
            sent_bytes += len(piece)
            self._outlet.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            if self._outlet.is_write_paused:
                await self._outlet.drained()
        if is_chunked:
            self._outlet.write(b"0\r\n\r\n")
        elif sent_bytes != self._body.length_bytes:
            raise Malformed(
                f"the request body has {sent_bytes} bytes, its Content-Length says {self._body.length_bytes}"
            )
        self.is_done = True

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._outlet.upload_failed(error)
