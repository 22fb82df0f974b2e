"""
Connection: one client's TCP connection, with the bounds a proxy needs and aiohttp does not have.

aiohttp's defaults answer a broken head with its text, wait for ever for a head, and cancel a handler whose client left
even when others wait for its work. So: refusals in our own shape and without content, 10 s for a head, 64 KiB for
all of it, and a handler outlives its client while `others` wait for what it fetches.

Hazard: this class extends aiohttp's connection loop at its seams (`data_received`, `connection_made`,
`connection_lost`, `handle_error`); the protocol suite in tests/protocol/port pins what it relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from services.edge.port.reply import Reply, refusal_bytes
from services.kit.errors import BodyTimeout, HeadTooLarge, Malformed, NarrowsError, Overloaded

if TYPE_CHECKING:
    from services.edge.port.arrival import Arrival
    from services.edge.port.server import DataPort

HEAD_DEADLINE_S = 10.0
HEAD_BYTES_MAX = 64 * 1024
HEADER_BYTES_MAX = 32 * 1024
HEADERS_MAX = 256
KEEP_ALIVE_S = 75.0


class Others(Protocol):
    """Whoever else waits for what a request fetches."""

    has_joiners: bool

    def when_unwatched(self, call: Callable[[], object]) -> None:
        """Call once nobody waits any more."""
        ...


class Connection(RequestHandler):
    """One client's connection. `others` are asked when the client leaves during a request."""

    __slots__ = ("_head_bytes", "_head_timer", "_port", "is_gone", "is_refused", "others")

    def __init__(self, port: DataPort, **options: Any) -> None:
        super().__init__(port, **options)
        self._port = port
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self.is_gone = False
        self.is_refused = False
        self.others: Others | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._port.connections) > self._port.connections_max:
            self._refuse(Overloaded("too many connections; try again soon", retry_after_s=1))
            return
        self._head_timer = self._loop.call_later(HEAD_DEADLINE_S, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        requests_before = self._request_count
        super().data_received(data)
        if self._request_count == requests_before:
            if self._waiter is not None and not self._waiter.done():
                self._note_partial_head(len(data))
        elif self._head_timer is not None or self._head_bytes or len(data) > HEAD_BYTES_MAX:
            self._head_bytes += len(data)
            self._end_head()

    def connection_lost(self, error: BaseException | None) -> None:
        self.is_gone = True
        if self._head_timer is not None:
            self._head_timer.cancel()
        task = self._task_handler
        super().connection_lost(error)
        if task is None:
            return
        if self.others is not None and self.others.has_joiners:
            self.others.when_unwatched(task.cancel)
        else:
            task.cancel()

    @property
    def writing_is_paused(self) -> bool:
        """The client reads more slowly than we write."""
        return self._paused

    async def drained(self) -> None:
        """Returns when the client has read enough; raises ConnectionError when it is gone."""
        await self._drain_helper()

    def handle_error(  # type: ignore[override]  # aiohttp only calls prepare, write_eof and keep_alive of what this returns
        self, request: Arrival, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Reply:
        """
        The answer to a head that is not HTTP (400), and to a defect of ours (500). Never says what was in the head.
        """
        reply = Reply(request.connection, is_last=True)
        reply.send(refusal_bytes(_head_error(status, exc)))
        if status == 500:
            self._port.report_defect(exc)
        return reply

    def _note_partial_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(HeadTooLarge(f"the request's head must be at most {HEAD_BYTES_MAX} bytes"))
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_DEADLINE_S, self._head_is_late)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._head_bytes > HEAD_BYTES_MAX and self._messages and _is_head_too_large(self._messages[0][0]):
            self._messages.clear()
            self._refuse(HeadTooLarge(f"the request's head must be at most {HEAD_BYTES_MAX} bytes"))
        self._head_bytes = 0

    def _head_is_late(self) -> None:
        self._head_timer = None
        self._refuse(BodyTimeout(f"the request's head did not arrive within {HEAD_DEADLINE_S:.0f} s"))

    def _refuse(self, error: NarrowsError) -> None:
        """Answer outside of any request, and close."""
        self.is_refused = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(refusal_bytes(error))
        self.force_close()


def _head_error(status: int, cause: BaseException | None) -> NarrowsError:
    if isinstance(cause, LineTooLong):
        return HeadTooLarge(
            f"a header must be at most {HEADER_BYTES_MAX} bytes, and there may be at most {HEADERS_MAX}"
        )
    if status == 400:
        return Malformed("the request's head is not valid HTTP/1.1")
    return NarrowsError("the gateway failed; the log has the reason under this instance's name")


def _is_head_too_large(message: Any) -> bool:
    raw_headers = getattr(message, "raw_headers", ())
    return (
        sum(len(name) + len(value) + 4 for name, value in raw_headers) + len(getattr(message, "path", ""))
        > HEAD_BYTES_MAX
    )
