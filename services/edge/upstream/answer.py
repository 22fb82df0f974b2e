"""
Answer: a provider's answer as it comes.

The connection fills it from the loop's callbacks; one reader takes from it. A small answer is whole when `send`
returns, and then nothing here waits or makes a future. Hazard: an answer that is dropped unfinished holds its
connection until the provider or the idle timeout ends it; whoever has one must take it to its end, `abort()` or
`dismiss()` it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

import msgspec

from services.kit.errors import StreamBroken

if TYPE_CHECKING:
    from services.edge.upstream.answer_form import KnownHead

T = TypeVar("T")

DISMISSED_S = 1.0
"""How long the end of an answer that nobody wants may take, before its connection is given up."""


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


class UpstreamAnswer(msgspec.Struct, eq=False):
    """Head and body of one answer. The attributes are for reading; the connection writes them."""

    facts: ClassVar[None] = None
    """Nobody has stored anything beside it."""

    loop: asyncio.AbstractEventLoop
    line: Line | None
    status: int = 0
    reason: bytes = b""
    parsed_headers: list[tuple[bytes, bytes]] = []
    """As they came; none of a known head."""
    known_head: KnownHead | None = None
    """A head that was recognised instead of parsed."""
    is_framed: bool = True
    """False: the body ends by closing, so that a cut cannot be told from its end."""
    is_finished: bool = False
    is_written: bool = False
    """The request's head has gone out."""
    is_replaceable: bool = False
    """It failed before any byte on a connection that had been idle: another connection may do."""
    failure: Exception | None = None
    parts: list[bytes] = []
    untaken_bytes: int = 0
    """Of `parts`, as far as nobody took them when they came."""
    waiter: asyncio.Future[None] | None = None
    step: Callable[[], Any] | None = None
    """Whoever reads the answer step by step; `given` is what it waits for."""
    given: asyncio.Future[Any] | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """As they came: order, case and duplicates."""
        if self.known_head is None:
            return self.parsed_headers
        form, lines = self.known_head
        return form.headers(lines)

    def take(self) -> list[bytes]:
        """What has come since, without waiting."""
        parts, self.parts = self.parts, []
        if self.untaken_bytes:
            self.untaken_bytes = 0
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
        first = step()
        if first is not None:
            return first
        if self.is_broken:
            raise cast(Exception, self.failure)
        given: asyncio.Future[T] = self.loop.create_future()
        self.step, self.given = step, given
        try:
            return await given
        finally:
            self.step = None
            if given.done() and not given.cancelled():
                given.exception()  # looked at, also by a reader that was cancelled meanwhile

    @property
    def is_broken(self) -> bool:
        """There is a failure, and all that came before it was taken."""
        return self.failure is not None and not self.parts and not self.is_finished

    def abort(self) -> None:
        """Nobody wants the rest: the connection closes at once. Does nothing at the end or the second time."""
        line, self.line = self.line, None
        if line is not None:
            self.fail(StreamBroken("the answer was given up"))
            line.abort()

    def dismiss(self, *, within_s: float = DISMISSED_S) -> None:
        """
        Nobody wants the rest. Where it comes within that time the connection can go on, else it closes.

        A provider that refuses everybody for a while must not be met with a new connection for each refusal.
        """
        if self.line is None:
            return
        self.take()
        self.step, self.given = self._drop, self.loop.create_future()
        self.given.add_done_callback(asyncio.Future.exception)  # looked at: it says nothing new to anybody
        self.loop.call_later(within_s, self.abort)

    def _drop(self) -> None:
        """A step for what nobody wants: nothing is kept of it."""
        self.take()

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
        self.waiter = waiter = self.loop.create_future()
        return waiter

    def wake(self) -> None:
        """Something has changed."""
        step = self.step
        if step is None:
            waiter = self.waiter
            if waiter is not None:
                self.waiter = None
                if not waiter.done():
                    waiter.set_result(None)
            return
        given = self.given
        if given is None or given.done():
            return
        self.step = None  # a step may end the answer, which is no change that it must hear of
        try:
            result = step()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the drive
            given.set_exception(error)
            return
        if result is not None:
            given.set_result(result)
        elif self.failure is not None and self.is_broken:
            given.set_exception(self.failure)
        else:
            self.step = step

    def fail(self, error: Exception) -> None:
        """There will be no proper end. Bytes that came before can still be taken."""
        if self.failure is None and not self.is_finished:
            self.failure = error
            self.wake()
