"""
Stage 8, relay: the answer goes to the client as it comes.

The one relay loop, for providers, cached answers and joined fills alike. Pieces pass in the coding they came in and
are never held back; the tee sees each before the client does, so a fill is stored before the answer's last byte
leaves.

Hazard: a broken answer must never look whole. On a cut, a stall or a malformed event the client gets an error event
in its own protocol, where the coding lets us write one, and the connection closes without the framing's end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Literal

import msgspec

from services.contracts.analytics.values import Ended
from services.dialects.errors import last_words
from services.dialects.request import RequestFacts
from services.dialects.usage import Usage, UsageReader, UsageReaders
from services.edge.answers.recall import Recall
from services.edge.capture import Capture
from services.edge.exchange import Exchange
from services.edge.headers import AnswerHeaders, Meaning
from services.edge.heads import connection_line
from services.edge.own_headers import own_headers
from services.edge.plan import Step
from services.edge.port.reply import Reply
from services.edge.source import Source
from services.edge.tee import Facts, Tee, read_facts
from services.kit.errors import StreamBroken, StreamStalled

_BODILESS = frozenset((204, 304))

State = Literal["slow", "done"] | None
"""Of an answer on its way; `slow`: it comes faster than it is read; None: it goes on."""


class Relayed(msgspec.Struct):
    """How the answer went. Written before its first byte, completed at its end; `first_byte_s` is monotonic."""

    step: Step
    status: int
    content_type: str
    head_sent_s: float
    is_coded: bool
    capture: Capture | None
    ended: Ended = "client_gone"
    first_byte_s: float | None = None
    usage: Usage | None = None
    facts: Facts | None = None
    error: StreamBroken | None = None


class Framing(msgspec.Struct, frozen=True):
    """How a body is framed for a client. `header`: what the head says of it beyond the headers that were kept."""

    header: bytes = b""
    is_bodiless: bool = False
    is_chunked: bool = False
    is_by_close: bool = False

    def frame(self, pieces: list[bytes], *, is_end: bool) -> bytes:
        """The bytes of these pieces on the wire."""
        content = b"".join(pieces)
        if not self.is_chunked:
            return b"" if self.is_bodiless else content
        last = b"0\r\n\r\n" if is_end else b""
        return b"%x\r\n%b\r\n%b" % (len(content), content, last) if content else last


_WITHOUT_BODY = Framing(is_bodiless=True)
_BY_LENGTH = Framing()
_IN_CHUNKS = Framing(b"Transfer-Encoding: chunked\r\n", is_chunked=True)
_BY_CLOSING = Framing(is_by_close=True)


class Relay:
    """Relays answers; one per edge, since it remembers header spellings."""

    def __init__(self, *, answer_headers: AnswerHeaders, readers: UsageReaders) -> None:
        self._answer_headers = answer_headers
        self._readers = readers

    def relay(self, exchange: Exchange) -> Awaitable[None] | None:
        """
        Writes `relayed`, and gives what is to be awaited until it is complete; None when all was here and has left.

        Never raises for a broken answer; what it gives raises CancelledError when the client leaves.
        """
        source, step = _source_of(exchange)
        try:
            passage = self._begin(exchange, source, step)
        except BaseException:
            source.abort()
            raise
        if not source.is_finished:
            return _pass_on(exchange, passage, None)
        try:
            passage.step()
        except (StreamBroken, ConnectionError, TimeoutError) as error:
            _end_badly(passage, error)
            return None
        except BaseException:
            _complete(passage)
            raise
        if exchange.reply.is_slow:
            return _pass_on(exchange, passage, "done")
        _end(passage)
        return None

    def _begin(self, exchange: Exchange, source: Source, step: Step) -> _Passage:
        """Writes `relayed`; all that the answer's pieces need on their way, and its head."""
        status, known, recalled, arrival = source.status, source.known_head, exchange.recalled, exchange.arrival
        if known is not None:
            kept = self._answer_headers.keep_known(known)
        else:
            kept = self._answer_headers.keep(status, source.reason, source.headers)
        meaning, capture = kept.meaning, None
        if meaning.is_text and step.payload_bytes_max is not None:
            capture = Capture(step.payload_bytes_max, meaning.coding)
        now_s = time.monotonic()
        exchange.relayed = relayed = Relayed(step, status, meaning.content_type, now_s, meaning.is_coded, capture)
        fill = None if recalled.recall is None else _fill(exchange, recalled.recall, step)
        tee = Tee(self._reader(exchange, step, source, meaning), capture, fill, step.provider.name)
        if fill is not None:
            tee.head(status, kept, recalled.ttl_s, is_all_here=source.is_finished)
        if arrival.method == "HEAD" or status in _BODILESS:
            framing = _WITHOUT_BODY
        else:
            framing = _BY_LENGTH if meaning.has_length else _without_length(exchange)
        own = own_headers(exchange, step, now_s)
        head = b"%b%b%b%b\r\n" % (kept.beginning, own, connection_line(exchange), framing.header)
        return _Passage(exchange.reply, relayed, source, tee, framing, head)

    def _reader(self, exchange: Exchange, step: Step, source: Source, meaning: Meaning) -> UsageReader | None:
        """Who reads the usage of a live answer."""
        if source.facts is not None or not step.facts.model_type:
            return None
        return self._readers.open(
            step.facts if exchange.received.reader is None else _streamed_facts(exchange, step),
            status=source.status,
            content_type=meaning.content_type,
            content_encoding=meaning.coding,
            headers=source.headers if step.facts.format.tokens.input_headers else (),
        )


def _without_length(exchange: Exchange) -> Framing:
    """How a body without a length is framed: in chunks, or by closing for who knows no chunks."""
    if not exchange.arrival.is_http_1_0:
        return _IN_CHUNKS
    exchange.reply.is_last = True
    return _BY_CLOSING


def _fill(exchange: Exchange, fill: Recall, step: Step) -> Recall | None:
    """The fill, if the first step answered."""
    if step.index != exchange.received.plan[0].index:
        fill.end("uncacheable")
        return None
    return fill


class _Passage(msgspec.Struct, eq=False):
    """An answer on its way from the source to the client. `step` is called with each change of the source."""

    reply: Reply
    relayed: Relayed
    source: Source
    tee: Tee
    framing: Framing
    head: bytes
    """Until it has been sent."""
    is_delivered: bool = False
    """Its last byte went to a client that was there. Who closes the moment it has been read is not gone before."""

    def step(self) -> State:
        """Pass on what has come. `slow`: those who read it need time before more is taken. Raises StreamBroken."""
        source, tee, reply = self.source, self.tee, self.reply
        pieces = source.take()
        if pieces:
            for piece in pieces:
                tee.piece(piece)
            if tee.is_malformed:
                pieces = tee.sound(pieces)
            if self.relayed.first_byte_s is None:
                self.relayed.first_byte_s = time.monotonic()
        if source.is_finished or tee.is_malformed:
            self._end(pieces)
            return "done"
        if self.head:
            reply.send(self.head + self.framing.frame(pieces, is_end=False))
            self.head = b""
        elif pieces:
            reply.send(self.framing.frame(pieces, is_end=False))
        if pieces and (
            (reply.is_slow and not reply.is_gone)
            or (tee.fill is not None and tee.fill.has_joiners and tee.fill.ahead_s > 0)
        ):
            return "slow"
        return None

    def _end(self, pieces: list[bytes]) -> None:
        """The last pieces. Raises StreamBroken when they are not the answer's proper end."""
        tee = self.tee
        is_malformed = tee.is_malformed or (self.relayed.step.facts.is_stream and _is_torn_array(tee.reader))
        is_whole = not is_malformed and (self.source.is_framed or _has_own_end(tee.reader))
        if is_whole:
            tee.finish(is_whole=True)
        framed = self.head + self.framing.frame(pieces, is_end=is_whole)
        self.head = b""
        if framed:
            self.reply.send(framed)
        self.is_delivered = not self.reply.is_gone
        if is_malformed:
            raise StreamBroken("the provider sent a malformed event")
        if not is_whole:
            raise StreamBroken("the provider closed the connection before the answer was whole")


async def _pass_on(exchange: Exchange, passage: _Passage, state: State) -> None:
    """An answer that is not all here, or that the client does not read as fast as it came, to its end."""
    try:
        await _go_on(exchange, passage, state)
    except (StreamBroken, ConnectionError, TimeoutError) as error:
        _end_badly(passage, error)
    except BaseException as error:
        is_stopping = isinstance(error, asyncio.CancelledError) and exchange.reply.is_cut_short
        if passage.is_delivered and (is_stopping or not exchange.reply.is_slow):
            _end(passage)
        elif is_stopping:
            _end_badly(passage, StreamBroken("the gateway is stopping"))
        else:
            _complete(passage)
        raise
    else:
        _end(passage)


def _end(passage: _Passage) -> None:
    """The answer has come to its end, with its client or without."""
    passage.relayed.ended = "done" if passage.is_delivered else "client_gone"
    _complete(passage)


def _end_badly(passage: _Passage, error: StreamBroken | OSError) -> None:
    """The answer broke, or its client does not read."""
    try:
        if isinstance(error, StreamBroken):
            passage.relayed.ended = _break_off(passage, error)
        else:
            passage.reply.abort()
    finally:
        _complete(passage)


def _complete(passage: _Passage) -> None:
    """Completes `relayed`. What has not come of the answer is not wanted any more."""
    relayed, tee, source = passage.relayed, passage.tee, passage.source
    relayed.usage = tee.usage if relayed.ended == "done" else tee.finish(is_whole=False)
    if source.facts is not None:
        relayed.facts = read_facts(source.facts)
    if not source.is_finished:
        source.abort()


async def _go_on(exchange: Exchange, passage: _Passage, state: State) -> None:
    """From the first step to the answer's end. Raises StreamBroken; ConnectionError, TimeoutError by the client."""
    reply = exchange.reply
    while state != "done":
        if state == "slow":
            await _let_read(exchange)
        state = await passage.source.drive(passage.step)
    if reply.is_slow and not reply.is_gone:
        await _let_read(exchange)


async def _let_read(exchange: Exchange) -> None:
    """
    Wait for a client that reads slowly. Raises ConnectionError, TimeoutError when it does not read at all.

    Where others wait for this answer too, they do not wait for this client: as much as a stored answer may have is
    kept for it, and when it is given up, the answer goes on without it. It keeps to the pace at which they can follow.
    """
    reply, recall, gateway = exchange.reply, exchange.recalled.recall, exchange.resolved.gateway
    if recall is not None and recall.has_joiners:
        await asyncio.sleep(recall.ahead_s)
        if not reply.is_slow or reply.is_gone or reply.unsent_bytes <= gateway.cache.entry_bytes_max:
            return
    try:
        await reply.drained(gateway.timeouts.idle_ms / 1000)
    except (ConnectionError, TimeoutError):
        if recall is None or not recall.has_joiners:
            raise
        reply.abort()


def _has_own_end(reader: UsageReader | None) -> bool:
    """Whether a body that ends by closing is whole: the dialect's own end was seen, if it has one."""
    return reader is None or not reader.can_tell_end or reader.is_at_end


def _is_torn_array(reader: UsageReader | None) -> bool:
    """Whether a stream that is one JSON array, read at its end, is none: one of its items is malformed."""
    return reader is not None and reader.is_torn_array


def _break_off(passage: _Passage, error: StreamBroken) -> Ended:
    """Tell the client in its own protocol, where bytes may still be added, and close."""
    reply, relayed, framing, reader = passage.reply, passage.relayed, passage.framing, passage.tee.reader
    relayed.error = error
    words = b"" if relayed.is_coded or framing.is_bodiless else _last_words(relayed, reader, error)
    if framing is _BY_LENGTH and len(words) >= _room_bytes(passage.source, reader):
        words = b""
    if words:
        reply.send(framing.frame([words], is_end=False))
    if framing.is_by_close and not words:
        reply.reset()
    else:
        reply.break_off()
    return "stalled" if isinstance(error, StreamStalled) else "cut"


def _room_bytes(source: Source, reader: UsageReader | None) -> int:
    """How much more an answer with a length may have; filled to its last byte it would be whole."""
    if reader is None:
        return 0
    lengths = [int(value) for name, value in source.headers if name.lower() == b"content-length" and value.isdigit()]
    return lengths[0] - reader.size_bytes if lengths else 0


def _last_words(relayed: Relayed, reader: UsageReader | None, error: StreamBroken) -> bytes:
    """The error as the stream's own framing and protocol have it; else nothing."""
    facts = relayed.step.facts
    return last_words(
        facts.format,
        error,
        content_type=relayed.content_type,
        is_stream=facts.is_stream,
        # Nobody has read the stream: an event may be open.
        is_mid_event=reader is None or reader.is_mid_event or reader.is_malformed,
        is_first=relayed.first_byte_s is None,
    )


def _source_of(exchange: Exchange) -> tuple[Source, Step]:
    recalled = exchange.recalled
    if recalled.source is not None:
        return recalled.source, exchange.received.plan[0]
    return exchange.attempted.source, exchange.attempted.step


def _streamed_facts(exchange: Exchange, step: Step) -> RequestFacts:
    """What the request says of itself; by now a body that streams has told its size."""
    reader = exchange.received.reader
    if reader is None or reader.text_size is None:
        return step.facts
    return msgspec.structs.replace(step.facts, size_bytes=reader.text_size.size_bytes)
