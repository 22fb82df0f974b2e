"""
Tee: what the gateway itself wants from an answer as it passes.

The relay loop gives every piece to the tee before the client has it: usage is read, the cache is filled, a bounded
copy is kept for the log. Nothing here delays or changes a byte; but behind an event that is malformed nothing passes,
neither to the client nor into a fill, since a proper end might stand there.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from services.contracts.analytics.values import UsageSource
from services.contracts.cache.values import HeaderPairs, Outcome
from services.dialects.usage import Usage, UsageReader
from services.edge.answers.recall import Recall
from services.edge.capture import Capture
from services.edge.headers import Kept


class Facts(msgspec.Struct, frozen=True):
    """What is stored beside a cached answer, so that a hit can be logged: JSON in `facts` of the cache's values."""

    provider: str = ""
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_reasoning: int | None = None
    source: UsageSource = "none"


Head = tuple[int, HeaderPairs, int]
"""Status, headers to be stored, and seconds to live."""

_FACTS = msgspec.json.Decoder(Facts)
_ENCODER = msgspec.json.Encoder()


@lru_cache(maxsize=1024)  # an answer that is hit once is hit again
def read_facts(text: str) -> Facts:
    """Facts of a stored answer; a format this version does not know gives empty ones."""
    try:
        return _FACTS.decode(text) if text else Facts()
    except msgspec.DecodeError:
        return Facts()


class Tee(msgspec.Struct, eq=False):
    """Sees one answer from its head to its end."""

    reader: UsageReader | None
    capture: Capture | None
    fill: Recall | None
    """None as soon as it has ended."""
    provider: str
    usage: Usage | None = None
    held_head: Head | None = None
    """Of an answer that is all here: the cache hears of it when it has been read, in one item."""
    chunks: list[bytes] = []
    """Of the same."""
    is_malformed: bool = False
    """An event was no event: nothing of the answer passes any more."""
    sound_parts: list[bytes] = []
    """Of the piece with that event, and of those behind it, what may still pass."""

    def head(self, status: int, kept: Kept, ttl_s: int, *, is_all_here: bool) -> None:
        """The answer begins."""
        if self.fill is None:
            return
        if not kept.meaning.is_cacheable:
            self._end_fill(self.fill, "uncacheable")
        elif is_all_here:
            self.held_head = status, kept.stored(), ttl_s
        else:
            self.fill.head(status, kept.stored(), ttl_s)

    def piece(self, piece: bytes) -> None:
        """The next bytes of the body, as they came."""
        reader = self.reader
        if reader is not None:
            reader.feed(piece)
            if reader.is_malformed:
                piece = self._sound_part(reader, piece)
        if self.capture is not None:
            self.capture.add(piece)
        if self.held_head is not None:
            self.chunks.append(piece)
        elif self.fill is not None:
            self.fill.chunk(piece)

    def sound(self, pieces: list[bytes]) -> list[bytes]:
        """Of pieces among which an answer became malformed: what may pass."""
        return pieces[: len(pieces) - len(self.sound_parts)] + self.sound_parts

    def _sound_part(self, reader: UsageReader, piece: bytes) -> bytes:
        """Of a piece with a malformed event, or behind one."""
        part = b"" if self.is_malformed else reader.up_to_fault(piece)
        self.is_malformed = True
        self.sound_parts.append(part)
        return part

    def finish(self, *, is_whole: bool) -> Usage | None:
        """
        The answer has ended. Usage as far as it is known; a whole one may be stored. Again: the same, without effect.
        """
        usage = self.usage
        if usage is None and self.reader is not None:
            usage = self.usage = self.reader.finish()
        if self.fill is not None:
            is_storable = self.reader is None or self.reader.is_storable
            self._end_fill(self.fill, "failed" if not is_whole else "whole" if is_storable else "uncacheable")
        return usage

    def _end_fill(self, fill: Recall, outcome: Outcome) -> None:
        self.fill = None
        if self.held_head is None:
            fill.end(outcome, self._facts() if outcome == "whole" else "")
            return
        status, headers, ttl_s = self.held_head
        if outcome == "whole":
            fill.whole(status, headers, self.chunks, ttl_s, self._facts())
            return
        fill.head(status, headers, ttl_s)
        for chunk in self.chunks:
            fill.chunk(chunk)
        fill.end(outcome)

    def _facts(self) -> str:
        usage = self.usage
        if usage is None:
            return ""
        facts = Facts(
            self.provider,
            usage.model,
            usage.tokens_in,
            usage.tokens_out,
            usage.tokens_cache_read,
            usage.tokens_cache_write,
            usage.tokens_reasoning,
            usage.source,
        )
        return _ENCODER.encode(facts).decode()
