"""
Answer: a provider's answer as it comes.

The connection fills it from the loop's callbacks; one reader takes from it. A small answer is whole when `send`
returns, and then nothing here waits or makes a future. Hazard: an answer that is dropped unfinished holds its
connection until the provider or the idle timeout ends it; whoever has one must take it to its end or `abort()` it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from services.edge.upstream.bodies import Upload
from services.kit.errors import StreamBroken

T = TypeVar("T")


class Line(Protocol):
    """The connection that an answer comes from, as the answer sees it."""

    def taken(self) -> None:
        """Everything that had come was taken; more may be read."""
        ...

    def write(self, chunk: bytes) -> None:
        """Send bytes after an upgrade."""
        ...

    async def drained(self) -> None:
        """Wait until what was written has mostly left."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class UpstreamAnswer:
    """Head and body of one answer. The attributes are for reading; the connection writes them."""

    __slots__ = (
        "_drive",
        "_loop",
        "connected_at",
        "failure",
        "head_at",
        "headers",
        "is_finished",
        "is_framed",
        "is_replaceable",
        "line",
        "parts",
        "reason",
        "status",
        "upload",
        "waiter",
        "written_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, line: Line, connected_at: float) -> None:
        self._loop = loop
        self._drive: _Drive[Any] | None = None
        self.line: Line | None = line
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        """As they came: order, case and duplicates."""
        self.is_framed = True
        """False: the body ends by closing, so that a cut cannot be told from its end."""
        self.is_finished = False
        self.is_replaceable = False
        """It failed before any byte on a connection that had been idle: another connection may do."""
        self.upload: Upload | None = None
        """The body of a request that may go out again."""
        self.failure: Exception | None = None
        self.parts: list[bytes] = []
        self.waiter: asyncio.Future[None] | None = None
        self.connected_at = connected_at
        self.written_at = 0.0
        self.head_at = 0.0

    @property
    def has_bytes(self) -> bool:
        """Some of the body is here and not taken yet."""
        return bool(self.parts)

    def take(self) -> list[bytes]:
        """What has come since, without waiting."""
        parts, self.parts = self.parts, []
        if self.line is not None:
            self.line.taken()
        return parts

    async def more(self) -> bool:
        """
        Wait for bytes or the end; False at the proper end.

        Raises StreamBroken when it is cut or malformed, StreamStalled when the provider is silent for too long.
        """
        while not self.parts:
            if self.is_finished:
                return False
            if self.failure is not None:
                raise self.failure
            await self.wait()
        return True

    async def drive(self, step: Callable[[], T | None]) -> T:
        """
        Call `step` now and after each change, until it gives something; that is returned.

        The connection itself takes the steps, so that a piece of an answer costs no task its turn. Raises what `step`
        raises, and as `more` does once `step` has taken what came before.
        """
        given = step()
        if given is not None:
            return given
        self.raise_failure()
        drive: _Drive[T] = _Drive(self, step, self._loop.create_future())
        self._drive = drive
        try:
            return await drive.given
        finally:
            self._drive = None
            if drive.given.done() and not drive.given.cancelled():
                drive.given.exception()  # looked at, also by a reader that was cancelled meanwhile

    def raise_failure(self) -> None:
        """Raises what broke the answer, when all that came before it was taken."""
        if self.failure is not None and not self.parts and not self.is_finished:
            raise self.failure

    def abort(self) -> None:
        """Nobody wants the rest: the connection closes at once. Does nothing at the end or the second time."""
        if self.upload is not None:
            self.upload.stop()
        line, self.line = self.line, None
        if line is not None:
            self.fail(StreamBroken("the answer was given up"))
            line.abort()

    def write(self, chunk: bytes) -> None:
        """Send bytes to the provider after an upgrade (status 101). Raises StreamBroken when it is over."""
        if self.line is None:
            raise self.failure or StreamBroken("the provider closed the connection")
        self.line.write(chunk)

    async def drain(self) -> None:
        """Wait until the provider has taken most of what was written."""
        if self.line is not None:
            await self.line.drained()

    def wait(self) -> asyncio.Future[None]:
        """Done at the next change: a head, bytes, the end, a failure."""
        self.waiter = waiter = self._loop.create_future()
        return waiter

    def wake(self) -> None:
        """Something has changed."""
        if self._drive is not None:
            self._drive.change()
            return
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """There will be no proper end. Bytes that came before can still be taken."""
        if self.failure is None and not self.is_finished:
            self.failure = error
            self.wake()


class _Drive(Generic[T]):
    """Whoever reads an answer step by step. Hazard: a step may end the answer, which is a change of its own."""

    __slots__ = ("_answer", "_is_stepping", "_step", "given")

    def __init__(self, answer: UpstreamAnswer, step: Callable[[], T | None], given: asyncio.Future[T]) -> None:
        self._answer = answer
        self._step = step
        self._is_stepping = False
        self.given = given

    def change(self) -> None:
        """Take a step, unless one is being taken or nobody waits for what it gives."""
        if self._is_stepping or self.given.done():
            return
        self._is_stepping = True
        try:
            given = self._step()
            if given is None:
                self._answer.raise_failure()
            else:
                self.given.set_result(given)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the drive
            self.given.set_exception(error)
        finally:
            self._is_stepping = False
