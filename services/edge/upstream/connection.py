"""
Connection: one TCP or TLS connection to a provider, carrying one exchange at a time.

The transport calls in, the reader turns bytes into an answer, and the answer's one reader is woken; no task and no
queue stand between. Back-pressure works both ways: reading stops while too much is untaken, and a body leaves as fast
as it is taken.

Closing is always `abort`: an exchange that ended leaves nothing worth flushing, and TLS would keep the socket for
half a minute waiting for a polite end. Hazard: uvloop's transport raises where asyncio's does nothing, when it is
asked anything between closing and `connection_lost`; so `is_closing` comes first. And after an abort the transport
still reports `connection_lost`, without an error, like a proper end; so whoever aborts first lets go of the answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.answer_form import AnswerForms
from services.edge.upstream.bodies import Spawn, Upload, upload_of
from services.edge.upstream.reader import AnswerReader, may_be_http2
from services.edge.upstream.request import UpstreamRequest
from services.edge.upstream.tls import HTTP2_ONLY, MAYBE_HTTP2_ONLY
from services.kit.errors import StreamBroken, StreamStalled, UpstreamClosed, UpstreamError, UpstreamProtocolError

UNTAKEN_BYTES_MAX = 256 * 1024
ONE_WRITE_BYTES_MAX = 64 * 1024
"""Bodies up to this leave in one write with their head: copying them is cheaper than a second system call."""


class Keeper(Protocol):
    """The pool that a connection belongs to."""

    forms: AnswerForms
    """How the origin's answers begin."""

    @property
    def spawn(self) -> Spawn:
        """Starts a task that the client owns."""
        ...

    def release(self, connection: UpstreamConnection) -> None:
        """The exchange is over and the connection can carry another."""
        ...

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is closed. Called once."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """One connection. Carries one `start` at a time, and gives itself back to its keeper."""

    __slots__ = (
        "_answer",
        "_drain_waiter",
        "_early",
        "_forms",
        "_is_parsing",
        "_is_read_paused",
        "_keeper",
        "_loop",
        "_monotonic_s",
        "_moved_at_s",
        "_reader",
        "_request",
        "_rewrite",
        "_silence_due_s",
        "_silence_timer",
        "_transport",
        "_upload",
        "exchanges",
        "is_lost",
        "is_write_paused",
        "opened_at_s",
    )

    _transport: asyncio.Transport
    _request: UpstreamRequest

    def __init__(
        self,
        *,
        keeper: Keeper,
        rewrite: Callable[[bytes], bytes] | None,
        loop: asyncio.AbstractEventLoop,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._keeper = keeper
        self._forms = keeper.forms
        self._rewrite = rewrite
        self._loop = loop
        self._monotonic_s = monotonic_s
        self._reader = AnswerReader()
        self._answer: UpstreamAnswer | None = None
        self._upload: Upload | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._silence_due_s = 0.0
        self._early = b""
        self._is_read_paused = False
        self._is_parsing = False
        """The answer is read by the parser; so every answer is of which anything has come and which is not whole."""
        self.exchanges = 0
        self.is_lost = False
        self.is_write_paused = False
        self.opened_at_s = self._moved_at_s = monotonic_s()

    # For the pool.

    def is_usable(self, now_s: float, idle_s_max: float, age_s_max: float) -> bool:
        """Whether it may carry another exchange."""
        return (
            now_s - self._moved_at_s < idle_s_max
            and now_s - self.opened_at_s < age_s_max
            and not self._transport.is_closing()
        )

    @property
    def idle_since_s(self) -> float:
        """When the last byte came."""
        return self._moved_at_s

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS layer, if there is one."""
        return cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))

    def start(self, request: UpstreamRequest, answer: UpstreamAnswer, failed: UpstreamAnswer | None = None) -> None:
        """
        Write the request; `answer` is filled from now on, or has failed when this returns.

        `failed` is the answer of an earlier connection that the same request went out on.
        """
        transport = self._transport
        if transport.is_closing():
            self._refuse(answer)
            return
        self.exchanges += 1
        answer.is_written = True
        self._answer = answer
        self._request = request
        head = request.head if self._rewrite is None else self._rewrite(request.head)
        body = request.body
        if isinstance(body, bytes) and len(body) <= ONE_WRITE_BYTES_MAX:
            transport.write(head + body)
        else:
            transport.write(head)
            self._upload = upload_of(body, self, spawn=self._keeper.spawn)
            self._upload.resume()
        if request.on_written is not None and (failed is None or not failed.is_written):
            request.on_written()

    # For the answer and the body.

    def taken(self) -> None:
        """Everything that had come was taken; more may be read."""
        if self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = False
            self._moved_at_s = self._monotonic_s()
            self._transport.resume_reading()

    def write(self, chunk: bytes | memoryview) -> None:
        """Put bytes of a body, or after an upgrade, into the transport, unless it closes; they count as movement."""
        if not self._transport.is_closing():
            self._moved_at_s = self._monotonic_s()
            self._transport.write(chunk)

    async def drained(self) -> None:
        """Wait until the transport wants more; at once when it already does or is gone. One caller at a time."""
        if self.is_write_paused and not self.is_lost:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    def upload_failed(self, error: Exception) -> None:
        """The body's own source failed; the provider must not take what it has for the whole."""
        answer = self._answer
        if answer is not None and answer.status:
            broken = StreamBroken("the request's body ended early, so its answer was given up")
            broken.__cause__ = error
            self._break(broken)
        else:
            self._break(error)

    def abort(self) -> None:
        """Close at once; whoever waits for the answer has been told already."""
        self._let_go()
        self._transport.abort()

    def close(self) -> None:
        """Close at once, and tell whoever waits for the answer."""
        answer = self._answer
        if answer is None:
            self.abort()
        elif answer.status:
            self._break(StreamBroken("the edge is stopping"))
        else:
            self._break(UpstreamClosed("the edge is stopping"))

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, chunk: bytes) -> None:
        answer = self._answer
        if answer is None:
            self._early = chunk
            self._transport.abort()
            return
        self._moved_at_s = self._monotonic_s()
        if not answer.status:
            self._read_head(answer, chunk)
            return
        reader = self._reader
        try:
            reader.feed(chunk)
        except UpstreamError as error:
            self._break(error)
            return
        if answer.is_finished:
            self._finish(is_reusable=reader.is_reusable)
        answer.wake()
        if answer.parts and answer.line is not None:
            self._note_untaken(answer, len(chunk))

    def _read_head(self, answer: UpstreamAnswer, chunk: bytes) -> None:
        """What comes up to the head's end, and what comes with it; often that is the whole answer."""
        request, reader, is_beginning = self._request, self._reader, not self._is_parsing
        if is_beginning:
            if request.method != b"HEAD" and self._forms.read(chunk, answer):
                self._finish_known(answer)
                answer.wake()
                return
            self._is_parsing = True
            is_head_request = request.method == b"HEAD"
            reader.begin(answer, is_head_request=is_head_request, accepts_upgrade=request.accepts_upgrade)
        try:
            reader.feed(chunk)
        except UpstreamError as error:
            self._break(error)
            return
        if answer.is_finished:
            if is_beginning and reader.is_reusable:
                self._forms.learn(chunk, answer)
            self._finish(is_reusable=reader.is_reusable)
            answer.wake()
        elif answer.status:
            self._begin_body(answer, len(chunk))
            answer.wake()

    def _begin_body(self, answer: UpstreamAnswer, size_bytes: int) -> None:
        """There is more to come: watch for silence. A provider that has refused wants no more of the request."""
        self._watch_silence()
        if self._upload is not None and answer.status >= 300:
            self._upload.stop()
        if answer.parts:
            self._note_untaken(answer, size_bytes)

    def eof_received(self) -> None:
        if self._answer is not None:
            self._end_by_close(self._answer, None)
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if self._answer is not None:
            self._end_by_close(self._answer, error)
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None
        self._wake_writer()
        self._reader.close()
        self._keeper.forget(self)

    def pause_writing(self) -> None:
        self.is_write_paused = True

    def resume_writing(self) -> None:
        self.is_write_paused = False
        if self._upload is not None:
            self._upload.resume()
        self._wake_writer()

    # How an exchange begins in vain, goes on and ends.

    def _refuse(self, answer: UpstreamAnswer) -> None:
        """The provider closed, or spoke before it was asked, between connecting and the request."""
        answer.line = None
        answer.is_replaceable = self.exchanges > 0
        if may_be_http2(self._early):
            answer.fail(UpstreamProtocolError(HTTP2_ONLY))
        else:
            answer.fail(self._closed_before("the request was sent"))

    def _note_untaken(self, answer: UpstreamAnswer, size_bytes: int) -> None:
        """Stop reading when too much is untaken."""
        answer.untaken_bytes += size_bytes
        if answer.untaken_bytes > UNTAKEN_BYTES_MAX and not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()

    def _finish(self, *, is_reusable: bool) -> None:
        """The proper end. A body that the provider did not want to the end leaves a connection that cannot go on."""
        is_sent = self._upload is None or self._upload.is_done
        self._let_go()
        if is_reusable and is_sent:
            self._keeper.release(self)
        else:
            self._transport.abort()

    def _finish_known(self, answer: UpstreamAnswer) -> None:
        """The proper end of an answer that nothing had come of before: then reading cannot have been paused."""
        if self._upload is not None:
            self._finish(is_reusable=True)
            return
        self._answer = answer.line = None
        del self._request
        self._keeper.release(self)

    def _end_by_close(self, answer: UpstreamAnswer, error: Exception | None) -> None:
        """The connection ended: before the head, at the end of an unframed body, or in the middle."""
        is_unheard = not (self._is_parsing and self._reader.has_bytes)
        # On a connection that had been idle, and so with a body that is held: it may go out on another one.
        answer.is_replaceable = self.exchanges > 1 and is_unheard
        self._let_go()
        if not answer.status:
            answer.fail(self._closed_before("its answer" if is_unheard else "its answer's head was whole"))
        elif error is None and not answer.is_framed:
            answer.is_finished = True
            answer.wake()
        else:
            answer.fail(StreamBroken("the provider cut its answer before the end"))

    def _closed_before(self, what: str) -> UpstreamClosed:
        """
        The error of a connection that closed too early.

        Some servers that speak only HTTP/2 let the handshake pass without agreeing on a protocol, and hang up then.
        """
        tls = self.tls
        is_strange = self.exchanges <= 1 and tls is not None and tls.selected_alpn_protocol() is None
        return UpstreamClosed(
            f"the provider closed the connection before {what}" + (f"; {MAYBE_HTTP2_ONLY}" if is_strange else "")
        )

    def _break(self, error: Exception) -> None:
        answer = self._answer
        if answer is not None:
            self.abort()
            answer.fail(error)

    def _let_go(self) -> None:
        """No exchange is under way any more."""
        answer = self._answer
        if answer is None:
            return
        self._answer = answer.line = None
        del self._request
        if self._is_parsing:
            self._is_parsing = False
            self._reader.rest()
        upload = self._upload
        if upload is not None:
            self._upload = None
            upload.detach()
            if not upload.is_done:
                upload.stop()
        if self._is_read_paused:
            self.taken()

    def _wake_writer(self) -> None:
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Silence: one timer a connection, set for the earliest moment at which it could matter.

    def _watch_silence(self) -> None:
        due_s = self._moved_at_s + self._request.idle_timeout_s
        if self._silence_timer is not None:
            if self._silence_due_s <= due_s:
                return
            self._silence_timer.cancel()
        self._silence_due_s = due_s
        self._silence_timer = self._loop.call_later(due_s - self._monotonic_s(), self._check_silence)

    def _check_silence(self) -> None:
        """Silence counts only while we listen; when the reader is slow it is not the provider's."""
        self._silence_timer = None
        if self._answer is None or not self._answer.status:
            return
        now_s = self._monotonic_s()
        if self._is_read_paused:
            self._moved_at_s = now_s
        silence_s = now_s - self._moved_at_s
        if silence_s < self._request.idle_timeout_s:
            self._watch_silence()
        else:
            self._break(StreamStalled(f"the provider sent nothing for {silence_s:.1f} s"))
