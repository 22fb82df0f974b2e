"""
Usage: tokens of an answer, read as it passes, whatever its coding and however it ends.

`UsageReaders.open` is asked once per answer for a reader; the relay feeds it every piece before the client gets it
and asks at the end. The provider's own counts are normalised to one meaning: input is all input, with what the
prompt cache read and wrote as parts of it; output is all output, reasoning included. What a provider does not say
is estimated from the bytes and flagged; what cannot be known is None, never 0. Hazard: `feed` runs once per
piece on the hot path, so it skips what it does not need and never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, assert_never

import msgspec

from services.dialects.bodies import Body, DocumentBody, EventsBody, FramesBody, Framing, LinesBody, framing_of
from services.dialects.codings import BoundedDecoder
from services.dialects.fields import FieldReader
from services.dialects.formats import Format
from services.dialects.ratios import RatioTable
from services.dialects.request import RequestFacts
from services.dialects.tally import (
    CACHE_READ,
    CACHE_WRITE,
    INPUT,
    INPUT_BESIDE,
    OUTPUT,
    REASONING,
    TOTAL,
    Tally,
    event_reader,
    whole_reader,
)

# The reader's own decoded copy of a coded answer ends here; what follows is estimated.
DECODED_BYTES_MAX: Final = 67_108_864

_ERROR_STATUS: Final = 400

# Content types whose framing is remembered, since the same few come again and again.
_CONTENT_TYPES_MAX: Final = 256

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


class UsageReaders:
    """Makes readers. One for the life of the process: a format's decoders are made once, ratios are learned."""

    def __init__(self, *, ratios: RatioTable | None = None) -> None:
        self.ratios = ratios if ratios is not None else RatioTable()
        self._event_readers: dict[str, FieldReader] = {}
        self._whole_readers: dict[str, FieldReader] = {}
        self._framings: dict[str, Framing] = {}

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
        tally = Tally(facts.format)
        if facts.format.tokens.input_headers:
            tally.note_headers({name.lower(): value for name, value in headers})
        is_coded = content_encoding != "" and content_encoding.strip().lower() not in ("", "identity")
        return UsageReader(
            facts,
            tally,
            self._body(tally, content_type) if facts.model_type else None,
            decoder=BoundedDecoder(content_encoding, bytes_max=DECODED_BYTES_MAX) if is_coded else None,
            ratios=self.ratios if status < _ERROR_STATUS else None,
        )

    def tokens_in(self, facts: RequestFacts) -> int:
        """About how many tokens a request's input has, before anybody counted it."""
        return self.ratios.tokens(facts.model, "in", facts.size_bytes)

    def _body(self, tally: Tally, content_type: str) -> Body | None:
        framing = self._framings.get(content_type)
        if framing is None:
            if len(self._framings) >= _CONTENT_TYPES_MAX:
                self._framings.clear()
            framing = self._framings[content_type] = framing_of(content_type)
        events = self._reader(self._event_readers, tally.form, is_event=True)
        match framing:
            case "events":
                return EventsBody(tally, events)
            case "document":
                return DocumentBody(tally, self._reader(self._whole_readers, tally.form, is_event=False), events)
            case "lines":
                return LinesBody(tally, events)
            case "frames":
                return FramesBody(tally, events)
            case "opaque":
                return None
            case _:
                assert_never(framing)

    def _reader(self, known: dict[str, FieldReader], form: Format, *, is_event: bool) -> FieldReader:
        reader = known.get(form.name)
        if reader is None:
            reader = known[form.name] = event_reader(form) if is_event else whole_reader(form)
        return reader


class UsageReader:
    """Reads one answer. Without a body (it is no text) it only counts nothing."""

    __slots__ = ("_body", "_decoder", "_facts", "_ratios", "_size_bytes", "_tally", "_usage")

    def __init__(
        self,
        facts: RequestFacts,
        tally: Tally,
        body: Body | None,
        *,
        decoder: BoundedDecoder | None,
        ratios: RatioTable | None,
    ) -> None:
        self._facts = facts
        self._tally = tally
        self._body = body
        self._decoder = decoder
        self._ratios = ratios
        self._size_bytes = 0
        self._usage: Usage | None = None

    @property
    def is_malformed(self) -> bool:
        """An event of a stream whose events are JSON was not."""
        return self._body is not None and self._body.is_malformed

    @property
    def is_mid_event(self) -> bool:
        """The beginning of an event has come and not its end."""
        return self._body is not None and self._body.is_mid_event

    @property
    def is_terminal_seen(self) -> bool:
        """The dialect's own end has come; a document is at its end when it can be read."""
        if isinstance(self._body, DocumentBody):
            return self.finish().is_terminal_seen
        return self._tally.is_terminal_seen

    @property
    def can_tell_end(self) -> bool:
        """Whether a missing end would be noticed: not in a body that is no text or that nobody can decode."""
        return self._body is not None and not (self._decoder is not None and self._decoder.is_blind)

    @property
    def is_error(self) -> bool:
        """The answer has said in-band that it failed."""
        return self._tally.is_error

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the answer, as they came."""
        self._size_bytes += len(chunk)
        if self._body is None:
            return
        if self._decoder is None:
            self._body.feed(chunk)
            return
        decoded = self._decoder.feed(chunk)
        if decoded:
            self._body.feed(decoded)

    def finish(self) -> Usage:
        """The answer has ended, well or not. Asked again, it says the same."""
        if self._usage is None:
            if self._body is not None:
                self._body.finish()
            self._usage = self._total()
        return self._usage

    def _total(self) -> Usage:
        tally = self._tally
        if self._ratios is None or tally.is_pending or not self._facts.model_type:
            return Usage(model=tally.model, is_terminal_seen=tally.is_terminal_seen, is_error=tally.is_error)
        usage = counted_usage(tally)
        tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
        if tokens_in is None or tokens_out is None:
            if tally.form.is_text and self._body is not None and self._facts.size_bytes:
                return self._estimated(usage)
        elif tally.is_terminal_seen:
            self._learn(usage)
        elif tally.form.is_text and (seen := self._tokens_seen()) > tokens_out:
            # Cut off: what was counted before the end is less than what was said.
            return msgspec.structs.replace(usage, tokens_out=seen, source="estimated")
        return usage

    def _tokens_seen(self) -> int:
        """Output tokens by the text that came, cut off or not."""
        assert self._ratios is not None
        return self._ratios.tokens(self._facts.model or self._tally.model, "out", self._tally.text_bytes)

    def _estimated(self, usage: Usage) -> Usage:
        """What the provider left out, from the bytes."""
        assert self._ratios is not None
        model = self._facts.model or self._tally.model
        tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
        if tokens_in is None:
            tokens_in = self._ratios.tokens(model, "in", self._facts.size_bytes)
        if tokens_out is None:
            tokens_out = self._ratios.tokens(model, "out", self._text_bytes()) if self._tally.form.has_output else 0
        return msgspec.structs.replace(usage, tokens_in=tokens_in, tokens_out=tokens_out, source="estimated")

    def _text_bytes(self) -> int:
        """Bytes of text that were seen; where nothing could be read, all bytes."""
        is_blind = self._decoder is not None and self._decoder.is_blind
        is_unread = self._body is None or self._body.is_unread
        return max(self._tally.text_bytes, self._size_bytes) if is_blind or is_unread else self._tally.text_bytes

    def _learn(self, counted: Usage) -> None:
        assert self._ratios is not None
        model = self._facts.model or self._tally.model
        if counted.tokens_out and self._tally.text_bytes:
            visible = counted.tokens_out - (counted.tokens_reasoning or 0)
            self._ratios.learn(model, "out", self._tally.text_bytes, visible)
        if counted.tokens_in:
            self._ratios.learn(model, "in", self._facts.size_bytes, counted.tokens_in)


def counted_usage(tally: Tally) -> Usage:
    """The provider's counts in Narrows' meaning."""
    counts, tokens = tally.counts, tally.form.tokens
    tokens_in, tokens_out = counts.get(INPUT), counts.get(OUTPUT)
    read, write, reasoning = counts.get(CACHE_READ), counts.get(CACHE_WRITE), counts.get(REASONING)
    if tokens_in is not None:
        tokens_in += counts.get(INPUT_BESIDE, 0)
        if tokens.is_cache_beside:
            tokens_in += (read or 0) + (write or 0)
    if tokens.is_reasoning_beside and (tokens_out is not None or reasoning):
        tokens_out = (tokens_out or 0) + (reasoning or 0)
    elif reasoning and counts.get(TOTAL) == (tokens_in or 0) + (tokens_out or 0) + reasoning:
        # Some vendors leave reasoning out of the output; only their total shows it.
        tokens_out = (tokens_out or 0) + reasoning
    if tokens_out is None and tokens_in is not None and not tally.form.has_output:
        tokens_out = 0
    source: Source = "none" if tokens_in is None and tokens_out is None else "provider"
    ends = (tally.model, tally.is_terminal_seen, tally.is_error)
    return Usage(tokens_in, tokens_out, read, write, reasoning, source, *ends)
