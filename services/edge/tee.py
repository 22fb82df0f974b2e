"""
Tee: what the gateway itself wants from an answer as it passes.

The relay loop gives every piece to the tee before the client has it: usage is read, the cache is filled, a bounded
copy is kept for the log. Nothing here delays or changes a byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.contracts.analytics.values import UsageSource
from services.contracts.cache.values import Outcome
from services.dialects.usage import Usage, UsageReader
from services.edge.answers.cacheable import is_cacheable
from services.edge.answers.recall import Recall
from services.edge.capture import Capture


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


_FACTS = msgspec.json.Decoder(Facts)
_ENCODER = msgspec.json.Encoder()


def read_facts(text: str) -> Facts:
    """Facts of a stored answer; a format this version does not know gives empty ones."""
    try:
        return _FACTS.decode(text) if text else Facts()
    except msgspec.DecodeError:
        return Facts()


class Tee:
    """Sees one answer from its head to its end."""

    __slots__ = ("_fill", "_provider", "capture", "reader", "usage")

    def __init__(
        self, *, reader: UsageReader | None, capture: Capture | None, fill: Recall | None, provider: str
    ) -> None:
        self.reader = reader
        self.capture = capture
        self.usage: Usage | None = None
        self._fill = fill
        self._provider = provider

    def head(self, status: int, headers: Sequence[tuple[bytes, bytes]], ttl_s: int) -> None:
        """The answer begins."""
        if self._fill is not None:
            if is_cacheable(status, headers):
                self._fill.head(status, headers, ttl_s)
            else:
                self._end_fill("uncacheable")

    def pieces(self, pieces: Sequence[bytes]) -> None:
        """The next bytes of the body, as they came."""
        for piece in pieces:
            if self.reader is not None:
                self.reader.feed(piece)
            if self._fill is not None:
                self._fill.chunk(piece)
            if self.capture is not None:
                self.capture.add(piece)

    @property
    def is_malformed(self) -> bool:
        """The stream has an event that its dialect cannot have."""
        return self.reader is not None and self.reader.is_malformed

    def finish(self, *, is_whole: bool) -> Usage | None:
        """
        The answer has ended. Usage as far as it is known; a whole one may be stored. Again: the same, without effect.
        """
        if self.reader is not None and self.usage is None:
            self.usage = self.reader.finish()
        is_error = self.usage is not None and self.usage.is_error
        self._end_fill("failed" if not is_whole else "uncacheable" if is_error else "whole")
        return self.usage

    def _end_fill(self, outcome: Outcome) -> None:
        fill, self._fill = self._fill, None
        if fill is not None:
            fill.end(outcome, self._facts() if outcome == "whole" else "")

    def _facts(self) -> str:
        usage = self.usage
        if usage is None:
            return ""
        facts = Facts(
            provider=self._provider,
            model=usage.model,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cache_read=usage.tokens_cache_read,
            tokens_cache_write=usage.tokens_cache_write,
            tokens_reasoning=usage.tokens_reasoning,
            source=usage.source,
        )
        return _ENCODER.encode(facts).decode()
