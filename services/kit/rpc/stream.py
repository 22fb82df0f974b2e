"""
The supervised stream: one conversation with one replica over gRPC, for as long as it is wanted.

Every client of every contract is this class, configured by a `Conversation`; none extends it. It connects, carries
what its `ClientLink` has to send a message at a time, delivers what comes, and when the stream breaks connects again:
this is the only place that does. One task reads and one writes; an item never has a task, a timer or a
span of its own.

Hazard: each try has a channel of its own. gRPC's channels remember failures and wait up to two minutes before
they look again, also for a replica that has been back for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Generic

import grpc.aio

from services.kit.clock import Clock
from services.kit.names import Attribute
from services.kit.rpc.backoff import Backoff
from services.kit.rpc.bounds import PAUSE_S
from services.kit.rpc.channel import ByteStream, open_stream
from services.kit.rpc.client_link import ClientLink
from services.kit.rpc.faults import error_of
from services.kit.rpc.link import Conversation, In, Out
from services.kit.telemetry.tracing import NoTracer, Span, Tracer

CONNECT_S_MAX = 2.0
"""
For a replica to accept the stream; a frozen one accepts connections, but no streams. Over TLS it takes three trips
there and back, so one whose every word is 300 ms late is still reached.
"""

SPAN_LINKS_MAX = 128

_log = logging.getLogger(__name__)


class SupervisedStream(Generic[Out, In]):
    """Keeps a `ClientLink` standing. `dial` makes a fresh channel; `failed` hears of every try that came to nothing."""

    def __init__(
        self,
        conversation: Conversation[Out, In],
        link: ClientLink[Out, In],
        *,
        dial: Callable[[], grpc.aio.Channel],
        backoff: Backoff,
        clock: Clock,
        tracer: Tracer | None,
        failed: Callable[[], None],
    ) -> None:
        self.link = link
        self._conversation = conversation
        self._dial = dial
        self._backoff = backoff
        self._clock = clock
        self._tracer = None if isinstance(tracer, NoTracer) else tracer
        self._failed = failed
        self._is_complained_of = False

    async def run(self) -> None:
        """Connect, converse, connect again; returns when the link is closing, its last items written."""
        try:
            while not self.link.is_closing:
                stood_s = await self._try()
                if not self.link.is_closing:
                    self._failed()
                    await asyncio.sleep(self._backoff.next_s(stood_s=stood_s))
        finally:
            self.link.close()

    async def _try(self) -> float:
        """One stream, from connecting to its end, and for how many seconds it stood."""
        opened_at_s: float | None = None
        try:
            async with _Dialled(self._dial, self._conversation.method) as call:
                opened_at_s = self._clock.monotonic_s()
                self._is_complained_of = False
                await self._converse(call)
                reason = "the replica ended it"
        except TimeoutError:
            reason = f"not accepted within {CONNECT_S_MAX:g} s"
        except grpc.aio.AioRpcError as failure:
            reason = str(error_of(failure, dependency=self._conversation.dependency))
        except Exception:  # noqa: BLE001 - a rim: what another process sends must not end this one
            _log.exception("%s to %s failed", self._conversation.method, self.link.address)
            reason = "see above"
        self._complain(reason)
        return 0.0 if opened_at_s is None else self._clock.monotonic_s() - opened_at_s

    def _complain(self, reason: str) -> None:
        """Say it once, not with every try."""
        if not self._is_complained_of and not self.link.is_closing:
            self._is_complained_of = True
            _log.warning("no stream %s to %s: %s", self._conversation.method, self.link.address, reason)

    async def _converse(self, call: ByteStream) -> None:
        """Read until the stream ends, and write meanwhile."""
        writing = asyncio.create_task(self._write(call), name=f"write {self._conversation.method}")
        try:
            self.link.stand()
            await self._read(call)
        finally:
            writing.cancel()
            await asyncio.wait((writing,))
            self.link.broke()

    async def _read(self, call: ByteStream) -> None:
        """To the proper end, or until this side has cancelled the call, which raises CancelledError here as well."""
        decode, deliver = self._conversation.incoming.decode, self.link.deliver
        try:
            async for message in call:
                items, probe = decode(message)
                deliver(items, probe)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise

    async def _write(self, call: ByteStream) -> None:
        """Write messages until the link closes or the stream fails; the reader learns of a failure by itself."""
        try:
            await self._write_messages(call)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return
        except Exception:  # noqa: BLE001 - a rim: an item that has no encoding ends its stream, not this process
            _log.exception("%s: a message could not be written", self._conversation.method)
            call.cancel()

    async def _write_messages(self, call: ByteStream) -> None:
        link, encode = self.link, self._conversation.outgoing.encode
        while True:
            while (items := link.take()) or link.probe_due:
                probe, link.probe_due = link.probe_due, 0
                span = self._span(items)
                try:
                    await call.write(encode(items, probe))
                finally:
                    if span is not None:
                        span.end()
                if link.is_crowded and not link.is_closing:
                    await asyncio.sleep(PAUSE_S)
            if link.is_closing:
                return
            await link.wake.wait()
            link.wake.clear()

    def _span(self, items: Sequence[Out]) -> Span | None:
        """The message's own span, if an item in it belongs to a sampled request."""
        if self._tracer is None:
            return None
        links = self._conversation.traceparents(items)
        if not links:
            return None
        service, _, method = self._conversation.method.lstrip("/").partition("/")
        attributes: dict[str, str] = {
            Attribute.RPC_SYSTEM: "grpc",
            Attribute.RPC_SERVICE: service,
            Attribute.RPC_METHOD: method,
        }
        return self._tracer.start(
            f"{service}/{method}", kind="client", attributes=attributes, links=links[:SPAN_LINKS_MAX]
        )


class _Dialled:
    """A stream that the other side has accepted, on a channel of its own; both are gone when the block is left."""

    def __init__(self, dial: Callable[[], grpc.aio.Channel], method: str) -> None:
        self._dial = dial
        self._method = method

    async def __aenter__(self) -> ByteStream:
        self._channel = self._dial()
        self._call = open_stream(self._channel, self._method)
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await self._call.initial_metadata()
            if self._call.done():
                await self._call.read()
            return self._call
        except BaseException:
            await self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def _leave(self) -> None:
        self._call.cancel()
        await self._channel.close(None)
