"""
Usage: tokens of an answer, read as it passes, whatever its coding and however it ends.

`UsageReaders.open` is asked once per answer for a reader; the relay feeds it every piece before the client gets it
and asks at the end. The provider's own counts are normalised to one meaning: input is all input, with what the
prompt cache read and wrote as parts of it; output is all output, reasoning included. What a provider does not say
is estimated from the bytes and flagged; what cannot be known is None, never 0. Hazard: `feed` runs once per
piece on the hot path, so it skips what it does not need and never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Literal, assert_never

import msgspec

from services.dialects.bodies import (
    Body,
    CodedBody,
    DocumentBody,
    EventsBody,
    FramesBody,
    Framing,
    LinesBody,
    framing_of,
)
from services.dialects.codings import ANSWER_RATIO_MAX, BoundedDecoder
from services.dialects.fields import FieldReader
from services.dialects.formats import Format
from services.dialects.ratios import RatioTable
from services.dialects.request import RequestFacts
from services.dialects.shapes import ShapeReader
from services.dialects.tally import COUNTS, Parts, Tally, event_reader, whole_reader

# The reader's own decoded copy of a coded answer ends here; what follows is estimated.
DECODED_BYTES_MAX: Final = 67_108_864

_ERROR_STATUS: Final = 400

_NO_COUNTS: Final = (None,) * len(COUNTS)

# Pairs of a format and a content type whose body is remembered, since the same few come again and again.
_BODIES_MAX: Final = 256

BodyMaker = Callable[[Tally], Body | None]

Source = Literal["provider", "estimated", "none"]


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer. `tokens_in` holds the cache's parts; `model` is what the provider says it was."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_reasoning: int | None = None
    source: Source = "none"
    model: str = ""
    is_terminal_seen: bool = False
    is_error: bool = False
    """The answer says in-band that it failed."""
    stated_nanodollars: int | None = None
    """What the provider itself says that the answer costs."""
    parts: Parts | None = None
    """Of the counts, and beside them: what may have a price of its own."""


class UsageReaders:
    """Makes readers. One for the life of the process: a format's decoders are made once, ratios are learned."""

    def __init__(self, *, ratios: RatioTable | None = None) -> None:
        self.ratios = ratios if ratios is not None else RatioTable()
        self._event_readers: dict[str, FieldReader] = {}
        self._whole_readers: dict[str, ShapeReader] = {}
        self._bodies: dict[tuple[str, str], BodyMaker] = {}

    def open(
        self,
        facts: RequestFacts,
        *,
        status: int = 200,
        content_type: str = "",
        content_encoding: str = "",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> UsageReader:
        """A reader for the answer to that request; `headers` are the answer's."""
        form = facts.format
        tally = Tally(form)
        if form.tokens.input_headers:
            tally.note_headers({name.lower(): value for name, value in headers})
        body: Body | None = None
        if form.model_type:
            make = self._bodies.get((form.name, content_type)) or self._maker(form, content_type)
            body = make(tally)
        if content_encoding and body is not None and content_encoding.strip().lower() not in ("", "identity"):
            decoder = BoundedDecoder(content_encoding, bytes_max=DECODED_BYTES_MAX, ratio_max=ANSWER_RATIO_MAX)
            body = CodedBody(body, decoder)
        ratios = self.ratios if status < _ERROR_STATUS else None
        return UsageReader(facts, tally, body, ratios, _pass if body is None else body.feed)

    def _maker(self, form: Format, content_type: str) -> BodyMaker:
        """What makes the bodies of such answers, remembered."""
        if len(self._bodies) >= _BODIES_MAX:
            self._bodies.clear()
        make = self._bodies[form.name, content_type] = self._make(form, framing_of(content_type))
        return make

    def _make(self, form: Format, framing: Framing) -> BodyMaker:
        events = self._event_readers.get(form.name)
        if events is None:
            events = self._event_readers[form.name] = event_reader(form)
        match framing:
            case "events":
                return partial(EventsBody, reader=events)
            case "document":
                whole = self._whole_readers.get(form.name)
                if whole is None:
                    whole = self._whole_readers[form.name] = whole_reader(form)
                return partial(DocumentBody, reader=whole, array_reader=events)
            case "lines":
                return partial(LinesBody, reader=events)
            case "frames":
                return partial(FramesBody, reader=events)
            case "opaque":
                return _no_body
            case _:
                assert_never(framing)


class UsageReader(msgspec.Struct):
    """Reads one answer. Without a body (it is no text) it only counts nothing."""

    facts: RequestFacts
    tally: Tally
    body: Body | None
    ratios: RatioTable | None
    """None: the answer is a failure, of which nothing is counted."""
    feed: Callable[[bytes], None]
    """Takes the next bytes of the answer, as they came."""
    usage: Usage | None = None

    @property
    def is_malformed(self) -> bool:
        """An event of a stream whose events are JSON was not."""
        return self.body is not None and self.body.is_malformed

    @property
    def is_mid_event(self) -> bool:
        """The beginning of an event has come and not its end."""
        return self.body is not None and self.body.is_mid_event

    @property
    def is_terminal_seen(self) -> bool:
        """The dialect's own end has come; a document is at its end when it can be read."""
        if self.body is not None and self.body.is_document:
            return self.finish().is_terminal_seen
        return self.tally.is_terminal_seen

    @property
    def can_tell_end(self) -> bool:
        """Whether a missing end would be noticed: not in a body that is no text or that nobody can decode."""
        return self.body is not None and self.body.can_tell_end

    @property
    def is_error(self) -> bool:
        """The answer has said in-band that it failed."""
        return self.tally.is_error

    @property
    def size_bytes(self) -> int:
        """Of what has come, as it came; of a body that nobody reads 0."""
        return self.body.size_bytes if self.body is not None else 0

    @property
    def is_at_end(self) -> bool:
        """Asked when nothing more comes: the dialect's own end was seen, and nothing behind it is half."""
        return self.finish().is_terminal_seen and not self.is_torn

    @property
    def is_torn(self) -> bool:
        """Asked when nothing more comes: it ends in what cannot be read."""
        self.finish()
        return self.body is not None and self.body.is_torn

    @property
    def is_torn_array(self) -> bool:
        """Asked when nothing more comes: a stream that is one array, with an item that is no JSON."""
        body = self.body.inner if isinstance(self.body, CodedBody) else self.body
        return isinstance(body, DocumentBody) and self.ratios is not None and self.is_torn and body.is_array

    @property
    def is_storable(self) -> bool:
        """Asked when nothing more comes: nobody would be given half an answer, or a failure, instead of a new one."""
        body, is_error = self.body, self.finish().is_error
        if is_error or body is None:
            return not is_error
        return not (body.is_torn or (isinstance(body, CodedBody) and body.is_cut))

    def up_to_fault(self, chunk: bytes) -> bytes:
        """
        Of the chunk that made it malformed: what may be passed on. Of coded bytes nobody can tell. Nothing is read from
        now on.
        """
        self.feed = _pass
        return self.body.up_to_fault(chunk) if isinstance(self.body, EventsBody) else b""

    def finish(self) -> Usage:
        """The answer has ended, well or not. Asked again, it says the same."""
        if self.usage is None:
            if self.body is not None:
                self.body.finish()
            self.usage = self._total()
        return self.usage

    def _total(self) -> Usage:
        tally, ratios, body = self.tally, self.ratios, self.body
        if ratios is None or tally.is_pending or not tally.form.model_type:
            return Usage(model=tally.model, is_terminal_seen=tally.is_terminal_seen, is_error=tally.is_error)
        usage = counted_usage(tally)
        tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
        if tokens_in is None or tokens_out is None:
            is_text = tally.form.is_text or (tally.form.may_be_text and tally.text_bytes > 0)
            if is_text and body is not None and self.facts.size_bytes:
                return self._estimated(usage, ratios, body)
        elif tally.is_terminal_seen:
            ratios.learn(
                self.facts.model or tally.model,
                size_bytes=self.facts.size_bytes,
                tokens_in=tokens_in,
                text_bytes=tally.text_bytes,
                tokens_out=tokens_out - (usage.tokens_reasoning or 0),
            )
        elif tally.form.is_text or tally.form.may_be_text:
            seen = ratios.tokens_out(self.facts.model or tally.model, tally.text_bytes)
            if seen > tokens_out:
                # Cut off: what was counted before the end is less than what was said.
                return msgspec.structs.replace(usage, tokens_out=seen, source="estimated", stated_nanodollars=None)
        return usage

    def _estimated(self, usage: Usage, ratios: RatioTable, body: Body) -> Usage:
        """What the provider left out, from the bytes of text that were seen; where nothing could be read, of all."""
        tally = self.tally
        model = self.facts.model or tally.model
        tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
        if tokens_in is None:
            tokens_in = ratios.tokens_in(model, self.facts.size_bytes)
        if tokens_out is None:
            text_bytes = max(tally.text_bytes, body.size_bytes) if body.is_unread else tally.text_bytes
            tokens_out = ratios.tokens_out(model, text_bytes) if tally.form.has_output else 0
        return msgspec.structs.replace(usage, tokens_in=tokens_in, tokens_out=tokens_out, source="estimated")


def counted_usage(tally: Tally) -> Usage:
    """The provider's counts in Narrows' meaning."""
    form = tally.form
    tokens_in, beside, tokens_out, read, write, reasoning, total = tally.counts or _NO_COUNTS
    if tokens_in is not None:
        if beside:
            tokens_in += beside
        if form.tokens.is_cache_beside:
            tokens_in += (read or 0) + (write or 0)
    if reasoning and (
        # Some vendors leave reasoning out of the output; only their total shows it.
        form.tokens.is_reasoning_beside or total == (tokens_in or 0) + (tokens_out or 0) + reasoning
    ):
        tokens_out = (tokens_out or 0) + reasoning
    if tokens_out is None and tokens_in is not None and not form.has_output:
        tokens_out = 0
    source: Source = "none" if tokens_in is None and tokens_out is None else "provider"
    return Usage(
        tokens_in,
        tokens_out,
        read,
        write,
        reasoning,
        source,
        tally.model,
        tally.is_terminal_seen,
        tally.is_error,
        tally.cost_nanodollars,
        tally.parts() if tally.priced else None,
    )


def _no_body(tally: Tally) -> None:
    """What is no text has no body to read."""


def _pass(chunk: bytes) -> None:
    """Nothing reads these bytes."""
