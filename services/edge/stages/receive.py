"""
Stage 3, receive: take the body as far as the plan needs it, and build the plan.

A body is held whole only if the plan may need it again or whole, or if it is small; otherwise it streams through.
The bytes that go to the provider are the bytes that came: of a held body only the few fields that decide something are
decoded, and never written back.
"""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from services.dialects.text_size import TextSize
from services.edge.capture import Capture, is_text
from services.edge.exchange import Exchange
from services.edge.plan import Plan, StreamedBody
from services.edge.port.arrival import Arrival
from services.edge.port.body import (
    BodyMemory,
    BodyReader,
    arrived_whole,
    declared_length,
    refuse_lost_codings,
    too_large,
)
from services.edge.record import are_payloads_kept
from services.edge.surfaces import native, universal
from services.edge.surfaces.commas import CommaRepair
from services.edge.surfaces.steps import StepBuilder
from services.kit.errors import MethodNotAllowed, NotBuilt

SMALL_BODY_BYTES = 64 * 1024


Taken = tuple[bytes | StreamedBody, BodyReader | None, int]
"""A body, who reads it if it streams, and how many bytes of it are held."""


class Received(msgspec.Struct, frozen=True):
    """The plan, and the body as held (empty when it streams). `reader` counts a streamed body."""

    plan: Plan
    body: bytes
    reader: BodyReader | None
    bytes_held: int


class Receiver:
    """Takes bodies within the edge's bounds."""

    def __init__(self, *, memory: BodyMemory, body_bytes_max: int, builder: StepBuilder) -> None:
        self._memory = memory
        self._body_bytes_max = body_bytes_max
        self._builder = builder
        self._repair = CommaRepair()

    def receive(self, exchange: Exchange) -> Awaitable[None] | None:
        """
        Writes `received`, and gives what is to be awaited before it is written. Raises NotBuilt, MethodNotAllowed,
        BodyTooLarge, BodyTimeout, Malformed, Overloaded.

        A body that came with a known head is all here, and there is nothing to refuse but its size.
        """
        arrival = exchange.arrival
        head, body = arrival.head, arrival.body
        if body is None or head is None or head.step_form is None:
            return self._receive(exchange)
        size_bytes = len(body)
        if size_bytes > self._body_bytes_max:
            raise too_large(self._body_bytes_max)
        self._memory.take(size_bytes)
        try:
            step = self._builder.build(head.step_form, body)
        except BaseException:
            self._memory.give(size_bytes)
            raise
        exchange.received = Received((step,), body, None, size_bytes)
        return None

    async def _receive(self, exchange: Exchange) -> None:
        """The same of a head that is new."""
        _refuse_unbuilt(exchange)
        is_universal = exchange.resolved.address.kind == "universal"
        body, reader, held = self._take_here(exchange.arrival) or await self._take(
            exchange, is_needed_whole=is_universal or native.needs_whole_body(exchange)
        )
        try:
            if is_universal:
                assert isinstance(body, bytes)
                plan = await universal.plan(exchange, body, builder=self._builder, repair=self._repair)
            else:
                plan = (await native.step(exchange, body, builder=self._builder),)
        except BaseException:
            self._memory.give(held)
            raise
        exchange.received = Received(plan, body if isinstance(body, bytes) else b"", reader, held)

    def release(self, received: Received) -> None:
        """The held body is not needed any more."""
        self._memory.bytes_held -= received.bytes_held

    def _take_here(self, arrival: Arrival) -> Taken | None:
        """A body that is all here, which is the common case and costs no wait."""
        refuse_lost_codings(arrival)
        here = arrived_whole(arrival)
        if here is None:
            return None
        size_bytes = len(here)
        if size_bytes > self._body_bytes_max:
            raise too_large(self._body_bytes_max)
        self._memory.take(size_bytes)
        return here, None, size_bytes

    async def _take(self, exchange: Exchange, *, is_needed_whole: bool) -> Taken:
        arrival = exchange.arrival
        length = declared_length(arrival)
        if length is not None and length > self._body_bytes_max:
            raise too_large(self._body_bytes_max)
        is_held = is_needed_whole or (length is not None and length <= SMALL_BODY_BYTES)
        reader = BodyReader(
            arrival,
            bytes_max=self._body_bytes_max,
            capture=_capture(exchange),
            text_size=None if is_held else _text_size(arrival),
        )
        if is_held:
            body = await reader.whole(self._memory)
            return body, None, len(body)
        return StreamedBody(reader.pieces(), length, await reader.first()), reader, 0


def _refuse_unbuilt(exchange: Exchange) -> None:
    address = exchange.resolved.address
    if exchange.arrival.is_upgrade and exchange.arrival.headers.get("Upgrade", "").lower() == "websocket":
        exchange.reply.is_last = True  # what follows would be frames, which nobody here reads
        raise NotBuilt("WebSockets are not built yet")
    if address.kind == "unified":
        raise NotBuilt("the unified surface (/compat) is not built yet")
    if address.kind == "run":
        raise NotBuilt("resuming a stream is not built yet")
    if address.kind == "universal" and exchange.arrival.method != "POST":
        raise MethodNotAllowed("the universal endpoint takes POST")


def _text_size(arrival: Arrival) -> TextSize | None:
    """Counts the text of a body that streams; of one that is no text, nothing is estimated."""
    return TextSize() if is_text(arrival.headers.get("Content-Type", "")) else None


def _capture(exchange: Exchange) -> Capture | None:
    """Where the beginning of a streamed body is kept for the log, if it may be."""
    logs, arrival = exchange.resolved.gateway.logs, exchange.arrival
    is_kept = are_payloads_kept(logs, exchange.resolved.options)
    if not (is_kept and is_text(arrival.headers.get("Content-Type", ""))):
        return None
    coding = arrival.headers.get("Content-Encoding", "").lower()
    return Capture(bytes_max=logs.payload_bytes_max, coding=coding)
