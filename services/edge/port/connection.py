"""
Connection: one client's TCP connection, with the bounds a proxy needs and aiohttp does not have.

aiohttp's defaults answer a broken head with its text, wait for ever for a head, leave a handler waiting for a body that
broke, cancel a handler whose client left even when others wait for its work, and close while the client is still
sending, so that it never reads the answer. So: refusals in our own shape and without content, bounds on all of
a head, and an end that lets the client read what was said (RFC 9112, 9.6).

aiohttp's own loop makes a task and a writer for each request; here the connection's one task answers, and a head that
is the last one again is not parsed again (head.py).

Hazard: this class extends aiohttp's connection at its seams (`start`, `data_received`, `connection_made`,
`connection_lost`, `force_close`, `shutdown`, its queue of messages and what it waits on for them); the suite in
tests/protocol/port pins what it relies on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from services.edge.port.arrival import Arrival, arrival_of
from services.edge.port.bounds import PortBounds
from services.edge.port.head import Head, end_of, recurring_head
from services.edge.port.reply import refusal_bytes
from services.edge.port.request_line import plain_line
from services.kit.errors import BodyTimeout, HeadTooLarge, Malformed, NarrowsError, Overloaded

if TYPE_CHECKING:
    from services.edge.port.reply import Reply
    from services.edge.port.server import DataPort

_SLICE_BYTES = 32 * 1024
"""As much as one header may have, so that a request line is whole in the slice that it begins."""
_CHUNKS_BYTES = 8 * 1024
"""Of chunks at once."""
_NO_LINGER = struct.pack("ii", 1, 0)
_NOT_HTTP_1 = "the request is not HTTP/1.1"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_TOO_MANY_HEADERS = "Too many headers received"


class Others(Protocol):
    """Whoever else waits for what a request fetches."""

    has_joiners: bool

    def when_unwatched(self, call: Callable[[], object]) -> None:
        """Call once nobody waits any more."""
        ...


class Connection(RequestHandler):
    """One client's connection. `others` are asked when the client leaves during a request."""

    __slots__ = (
        "_chunked_body",
        "_chunked_tail",
        "_end_timer",
        "_head",
        "_head_bytes",
        "_head_timer",
        "_heard_bytes",
        "_is_deaf",
        "_is_parting",
        "_is_slicing",
        "_later",
        "_payload",
        "_target",
        "bounds",
        "has_lost",
        "is_gone",
        "others",
        "port",
        "spent_behind",
    )

    def __init__(self, port: DataPort, **options: Any) -> None:
        super().__init__(port, **options)
        self.port = port
        self.bounds: PortBounds = port.bounds
        self._payload: StreamReader = EMPTY_PAYLOAD
        """Of the last head that came: while it is not at its end, what comes is a body."""
        self._target = ""
        self._head: Head | None = None
        """The last one, if the next request may have the same."""
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._is_deaf = False
        self._is_parting = False
        self._is_slicing = False
        self._later = b""
        """The rest of a segment that is taken in slices."""
        self._heard_bytes = 0
        self._chunked_body: StreamReader | None = None
        """Of the last head, if it is chunked and has not ended."""
        self._chunked_tail = b""
        self.has_lost = False
        """It cannot be told what comes next: answers say that this connection closes."""
        self.spent_behind: StreamReader | None = None
        """What comes behind the request with this body is not to be trusted: its answer is the connection's last."""
        self.is_gone = False
        self.others: Others | None = None

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.port.is_full:
            self._head_timer = self._loop.call_later(self.bounds.head_s, self._head_is_late)
        elif self.port.parting_count < self.bounds.refused_connections:
            self._count_parting()
            self._hear_no_more(Overloaded("too many connections; try again soon", retry_after_s=1))
        else:
            transport.abort()  # type: ignore[attr-defined]  # a server's transports can

    def data_received(self, data: bytes) -> None:
        if self._later:
            self._later += data
            if data:
                return
        elif len(data) > _SLICE_BYTES and self._may_be_chunked(data):
            self._later = data
            self._pause_transport_reading()
            self._take_slice()
            return
        self._take(data)
        if self._later and not self._is_slicing:
            self._take_soon()

    def _take(self, data: bytes) -> None:
        """What has come, a segment or a slice of one."""
        head, waiter = self._head, self._waiter
        if head is not None and waiter is not None and not waiter.done():
            arrival = head.again(data)
            if arrival is not None:
                waiter.set_result(arrival)  # type: ignore[arg-type]  # see `start`
                return
        if self._is_deaf:
            self._heard_bytes += len(data)
            return
        is_head = self._payload.is_eof()
        is_start = is_head and not self._head_bytes
        if is_start and not data.isascii():
            data, target = plain_line(data)
            self._target = target or self._target
        count, last_body = self._request_count, self._chunked_body
        super().data_received(data)
        if self._request_count != count:
            if last_body is not None:
                self.spent_behind = last_body
            self._note_heads(data, self._request_count - count, is_start=is_start)
        elif is_head and data:
            self._note_partial_head(len(data))
        if self._chunked_body is not None:
            self._watch_last_chunk(data, self._chunked_body)

    def _resume_transport_reading(self) -> None:
        """What is left of the last segment goes first."""
        if not self._later:
            super()._resume_transport_reading()
        elif not self._is_slicing:
            self._take_soon()

    def connection_lost(self, error: BaseException | None) -> None:
        self.is_gone = True
        self._head = None
        self.port.parting_count -= self._is_parting
        task = self._task_handler
        super().connection_lost(error)
        for timer in (self._head_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        if task is None:
            return
        if self.others is not None and self.others.has_joiners:
            self.others.when_unwatched(task.cancel)
        else:
            task.cancel()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - as aiohttp calls it
        """
        Close. A request under way is cancelled first, while its client can still be told; aiohttp would close before.
        """
        if self._current_request is not None and self._task_handler is not None:
            self._request_in_progress = True
            self._task_handler.cancel()
        await super().shutdown(timeout)

    # For the request under way.

    async def drained(self) -> None:
        """Returns when the client has read enough; raises ConnectionError when it is gone."""
        await self._drain_helper()

    def part(self) -> None:
        """Nothing more will be said: end our side, let the client read and close its own, then drop the connection."""
        self._is_deaf = True
        self._later = b""
        self._force_close = True
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._count_parting()
        self._resume_transport_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._watch_end(transport)

    def reset(self) -> None:
        """Drop the connection so that the client sees an error and no end."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()

    def force_close(self) -> None:
        """Close. What cannot be flushed because nobody reads it is dropped after a while."""
        transport = self.transport
        super().force_close()
        if transport is not None and not self.is_gone:
            self._watch_end(transport)

    # The loop: one request after the other.

    async def start(self) -> None:
        """Answer requests until the connection ends; aiohttp makes this the connection's task."""
        port, loop = self.port, self._loop
        try:
            while not (self._force_close or self._close):
                arrival: Arrival | None = None
                if not self._messages:
                    self._next_keepalive_close_time = loop.time() + self._keepalive_timeout
                    if self._keepalive_handle is None:
                        self._watch_rest()
                    self._waiter = loop.create_future()
                    try:
                        # Nothing of aiohttp's; of ours a request whose head has come before.
                        arrival = await self._waiter  # type: ignore[func-returns-value]
                    finally:
                        self._waiter = None
                if arrival is None:
                    arrival = self._parsed()
                    if arrival is None:
                        break
                arrival.arrived_s = monotonic()
                self._current_request = arrival  # type: ignore[assignment]  # aiohttp only cancels it
                port.in_flight += 1
                try:
                    reply = await port.answer(arrival)
                finally:
                    port.in_flight -= 1
                    self._current_request = None
                    if port.is_draining:
                        self._tell_answered()
                if self._upgraded:
                    # It feeds the parser with what came behind an upgrade that was not made.
                    await self.finish_response(arrival, reply, None)  # type: ignore[arg-type]  # as above
                self._go_on(arrival, reply)
                if (self._messages or self._paused) and not self._force_close:
                    await self._let_others()
        except asyncio.CancelledError:
            self.force_close()
            raise
        if not self._is_parting and self.transport is not None:
            self._task_handler = None
            self.transport.close()

    def _go_on(self, arrival: Arrival, reply: Reply) -> None:
        """Whether there may be a next request, now that this one is answered."""
        if reply.is_last:
            self.part()
        elif arrival.body is None and not arrival.payload.is_eof():
            self.force_close()

    async def _let_others(self) -> None:
        """
        Who sends many requests at once has one answered in a turn of the loop, and none while answers are not read.

        A client that leaves them unread rests between two requests, and may do so as long as any. What it has asked
        then, or a client that has left, is not asked of anybody any more.
        """
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self.bounds.keep_alive_s):
                await self.drained()
        except (ConnectionError, TimeoutError):
            self.reset()
            self._force_close = True

    def _watch_rest(self) -> None:
        """A connection that rests too long between two requests is closed."""
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def _tell_answered(self) -> None:
        """Whoever stops the edge waits for it."""
        self.port.request_ended()
        if self._handler_waiter is not None:
            self._handler_waiter.set_result(None)

    def _parsed(self) -> Arrival | None:
        """The next request that the parser has read; None if it is none, which has been refused then."""
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        if isinstance(message, _ErrInfo):
            self._refuse(message.exc)
            return None
        if message.version.major != 1:
            self._refuse(Malformed(_NOT_HTTP_1))
            return None
        head = self._head
        if head is not None and head.message is message:
            return head.parsed(payload)
        return arrival_of(message, payload, self)

    def _refuse(self, cause: BaseException | None) -> None:
        """Answer what is no request, without saying what was in it, and close."""
        error = _refusal(cause, self.bounds)
        if self.transport is not None:
            self.transport.write(refusal_bytes(error, log_id=self.port.new_log_id()))
        self.port.refused(error)
        self.part()

    # Chunks: a segment may hold thousands of them, and each costs the parser what a large one does.

    def _may_be_chunked(self, segment: bytes) -> bool:
        """A body in chunks goes on in this segment, or may begin."""
        if self._chunked_body is not None:
            return True
        return self._payload.is_eof() and b"chunked" in segment.lower()

    def _take_soon(self) -> None:
        """The next slice, when everybody else has had a turn."""
        self._is_slicing = True
        self._loop.call_soon(self._take_slice)

    def _take_slice(self) -> None:
        """One slice; while nothing may be read, what is left waits as the client's next segments do."""
        self._is_slicing = False
        is_held = self._reading_paused or self._buffer_paused
        if self.is_gone or (is_held and not self._is_deaf):
            return
        size_bytes = _SLICE_BYTES if self._chunked_body is None else _CHUNKS_BYTES
        later = self._later
        self._later = later[size_bytes:]
        self._take(later[:size_bytes])
        if self._later:
            self._take_soon()
        elif not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    # Heads, whole and in part.

    def _note_heads(self, segment: bytes, count: int, *, is_start: bool) -> None:
        """
        New messages stand at the end of the queue; the last one's body may still be on its way. `is_start`: the first
        of them begins with the segment.
        """
        head_bytes, self._head_bytes = self._head_bytes + len(segment), 0
        self._head = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if isinstance(self._messages[-1][0], _ErrInfo):
            self._note_unreadable()
            return
        is_mended = bool(self._target)
        if is_mended:
            self._put_back_target(len(self._messages) - count)
        if head_bytes > self.bounds.head_bytes:
            self._refuse_large_heads(len(self._messages) - count)
        message, self._payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            return
        heads = list(self._messages)[-count:]
        self._note_chunked(heads)
        end = end_of(segment, heads) if is_start else None
        if message.upgrade and not self._upgraded:
            # The parser drops what stands behind an upgrade that it does not know.
            self.has_lost = end != len(segment)
        elif end is not None and end < len(segment):
            self._note_partial_head(len(segment) - end)
        elif end is not None and count == 1 and not is_mended:
            self._head = recurring_head(segment, message, self)

    def _note_chunked(self, heads: Sequence[tuple[RawRequestMessage | _ErrInfo, StreamReader]]) -> None:
        """
        The parser gives a chunked body's last trailer to the next request as a header. So nothing is read as a request
        behind a body that may have had trailers: one that does not end with its segment, and with its last chunk.
        """
        chunked = [body for message, body in heads if isinstance(message, RawRequestMessage) and message.chunked]
        self._chunked_body, self._chunked_tail = None, b""
        if chunked and chunked[0] is not heads[-1][1]:
            self.spent_behind = chunked[0]
        elif chunked:
            self._chunked_body = chunked[0]

    def _watch_last_chunk(self, segment: bytes, body: StreamReader) -> None:
        """Look how it ends."""
        self._chunked_tail = (self._chunked_tail + segment)[-len(_LAST_CHUNK) :]
        if body.is_eof():
            self._chunked_body = None
            if self._chunked_tail != _LAST_CHUNK:
                self.spent_behind = body

    def _note_unreadable(self) -> None:
        """What came last is not HTTP. In the middle of a body, that body's reader must hear of it, or it would wait."""
        self._is_deaf = True
        if not self._payload.is_eof():
            self._messages.pop()
            self._payload.set_exception(Malformed("the request's body is not framed as its headers say"))

    def _put_back_target(self, index: int) -> None:
        message, payload = self._messages[index]
        self._messages[index] = message._replace(path=self._target), payload  # type: ignore[union-attr]  # no error
        self._target = ""

    def _refuse_large_heads(self, first: int) -> None:
        """So much came that a head among it may be too large: look."""
        for index in range(first, len(self._messages)):
            if _head_bytes(self._messages[index][0]) > self.bounds.head_bytes:
                while len(self._messages) > index:
                    self._messages.pop()
                self._hear_no_more(_head_too_large(self.bounds))
                return

    def _note_partial_head(self, size_bytes: int) -> None:
        self._head = None
        self._head_bytes += size_bytes
        if self._head_bytes > self.bounds.head_bytes:
            self._hear_no_more(_head_too_large(self.bounds))
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(self.bounds.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        """Behind a request that is still being answered a head may take its time."""
        self._head_timer = None
        if self._waiter is None or self._waiter.done():
            self._head_timer = self._loop.call_later(self.bounds.head_s, self._head_is_late)
        else:
            self._hear_no_more(
                BodyTimeout(f"the request's head did not arrive within {self.bounds.head_s:g} s"),
            )

    def _hear_no_more(self, error: NarrowsError) -> None:
        """Refuse what comes, behind the answers that are still due, and close after that."""
        self._is_deaf = True
        self._payload = EMPTY_PAYLOAD
        self._messages.append((_ErrInfo(status=400, exc=error, message=error.message), EMPTY_PAYLOAD))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The end.

    def _count_parting(self) -> None:
        """Who is on the way out does not keep others from coming in."""
        if not self._is_parting:
            self._is_parting = True
            self.port.parting_count += 1

    def _watch_end(self, transport: asyncio.Transport, unsent_before: int = 0, waited_s: float = 0.0) -> None:
        """Look again soon whether the client still reads, or still sends, or has had its time."""
        if self._end_timer is None or waited_s:
            self._end_timer = self._loop.call_later(
                self.bounds.farewell_s, self._end, transport, unsent_before, waited_s + self.bounds.farewell_s
            )

    def _end(self, transport: asyncio.Transport, unsent_before: int, waited_s: float) -> None:
        unsent = transport.get_write_buffer_size()
        heard, self._heard_bytes = self._heard_bytes, 0
        if 0 < unsent < unsent_before:
            waited_s = self.bounds.farewell_s
        if (unsent or heard) and waited_s < self.bounds.farewell_s_max:
            self._watch_end(transport, unsent, waited_s)
        else:
            transport.abort()


def _refusal(cause: BaseException | None, bounds: PortBounds) -> NarrowsError:
    if isinstance(cause, NarrowsError):
        return cause
    if isinstance(cause, LineTooLong) or getattr(cause, "message", "") == _TOO_MANY_HEADERS:
        return HeadTooLarge(
            f"the request line and each header may have {bounds.header_bytes} bytes, and there may be"
            f" {bounds.headers} headers"
        )
    return Malformed("the request's head is not valid HTTP/1.1")


def _head_bytes(message: Any) -> int:
    """As on the wire, about: names, values and the target with what stands between them."""
    raw_headers = getattr(message, "raw_headers", ())
    return sum([len(name) + len(value) + 4 for name, value in raw_headers]) + len(getattr(message, "path", ""))


def _head_too_large(bounds: PortBounds) -> HeadTooLarge:
    return HeadTooLarge(f"the request's head must be at most {bounds.head_bytes} bytes")
