"""
Ratios: how many bytes of text one token is, learned per model from answers that do report usage.

What a provider does not report is estimated with them. Input and output have ratios of their own, since a request's
bytes hold JSON beside the text. Until a model has taught anything, a token is 4 bytes.
"""

from __future__ import annotations

import math
from typing import Final

_Ratios = tuple[float | None, float | None]
"""Bytes per token of a model's input and output; None: nothing was learned."""

_Lesson = tuple[str, int, int, int, int]
"""The model, the bytes and tokens of a request, the bytes of an answer's text and its tokens."""

BYTES_PER_TOKEN: Final = 4.0

# Samples outside of these say something about a file in the request or a provider's way of counting, not about text.
_RATIO_MIN: Final = 1.0
_RATIO_MAX: Final = 16.0
_SAMPLE_TOKENS_MIN: Final = 8

# Each answer moves the ratio by a tenth of the difference: a hundred odd ones are forgotten after a few dozen.
_WEIGHT: Final = 0.1

# So many answers are learned from at once, or fewer when a ratio is asked for.
_LESSONS_MAX: Final = 64

_UNKNOWN: Final[_Ratios] = (None, None)


class RatioTable:
    """Ratios by model. Bounded: a new model beyond the bound replaces the one learned first."""

    def __init__(self, *, models_max: int = 2_048) -> None:
        self._models_max = models_max
        self._ratios: dict[str, _Ratios] = {}
        self._lessons: list[_Lesson] = []

    def tokens_in(self, model: str, size_bytes: int) -> int:
        """About how many tokens a request of this size is, rounded up."""
        return math.ceil(size_bytes / (self._known(model)[0] or BYTES_PER_TOKEN))

    def tokens_out(self, model: str, text_bytes: int) -> int:
        """About how many tokens this much of an answer's text is, rounded up."""
        return math.ceil(text_bytes / (self._known(model)[1] or BYTES_PER_TOKEN))

    def learn(self, model: str, *, size_bytes: int, tokens_in: int, text_bytes: int, tokens_out: int) -> None:
        """An answer has reported how many tokens the request's bytes were, and those of its own text."""
        # Most providers report, so most ratios are never asked for: what they would be is worked out when one is.
        self._lessons.append((model, size_bytes, tokens_in, text_bytes, tokens_out))
        if len(self._lessons) >= _LESSONS_MAX:
            self._catch_up()

    def _known(self, model: str) -> _Ratios:
        self._catch_up()
        return self._ratios.get(model, _UNKNOWN)

    def _catch_up(self) -> None:
        """Learn from the answers that have come since."""
        for model, size_bytes, tokens_in, text_bytes, tokens_out in self._lessons:
            known = self._ratios.get(model)
            ratio_in, ratio_out = known or _UNKNOWN
            if tokens_in >= _SAMPLE_TOKENS_MIN and _RATIO_MIN <= (sample := size_bytes / tokens_in) <= _RATIO_MAX:
                ratio_in = sample if ratio_in is None else ratio_in + (sample - ratio_in) * _WEIGHT
            if tokens_out >= _SAMPLE_TOKENS_MIN and _RATIO_MIN <= (sample := text_bytes / tokens_out) <= _RATIO_MAX:
                ratio_out = sample if ratio_out is None else ratio_out + (sample - ratio_out) * _WEIGHT
            if known is None:
                if not model or ratio_in is ratio_out is None:
                    continue
                if len(self._ratios) >= self._models_max:
                    del self._ratios[next(iter(self._ratios))]
            self._ratios[model] = ratio_in, ratio_out
        self._lessons.clear()
