"""
Ratios: how many bytes of text one token is, learned per model from answers that do report usage.

What a provider does not report is estimated with them. Input and output have ratios of their own, since a request's
bytes hold JSON beside the text. Until a model has taught anything, a token is 4 bytes.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

BYTES_PER_TOKEN: Final = 4.0

# Samples outside of these say something about a file in the request or a provider's way of counting, not about text.
_RATIO_MIN: Final = 1.0
_RATIO_MAX: Final = 16.0
_SAMPLE_TOKENS_MIN: Final = 8

# Each answer moves the ratio by a tenth of the difference: a hundred odd ones are forgotten after a few dozen.
_WEIGHT: Final = 0.1


class _Ratios(msgspec.Struct):
    """Bytes per token of one model; None: nothing was learned."""

    input: float | None = None
    output: float | None = None


_UNKNOWN: Final = _Ratios()


class RatioTable:
    """Ratios by model. Bounded: a new model beyond the bound replaces the one learned first."""

    def __init__(self, *, models_max: int = 2_048) -> None:
        self._models_max = models_max
        self._ratios: dict[str, _Ratios] = {}

    def tokens_in(self, model: str, size_bytes: int) -> int:
        """About how many tokens a request of this size is, rounded up."""
        return math.ceil(size_bytes / (self._ratios.get(model, _UNKNOWN).input or BYTES_PER_TOKEN))

    def tokens_out(self, model: str, text_bytes: int) -> int:
        """About how many tokens this much of an answer's text is, rounded up."""
        return math.ceil(text_bytes / (self._ratios.get(model, _UNKNOWN).output or BYTES_PER_TOKEN))

    def learn(self, model: str, *, size_bytes: int, tokens_in: int, text_bytes: int, tokens_out: int) -> None:
        """An answer has reported how many tokens the request's bytes were, and those of its own text."""
        sample_in = size_bytes / tokens_in if tokens_in >= _SAMPLE_TOKENS_MIN else 0.0
        sample_out = text_bytes / tokens_out if tokens_out >= _SAMPLE_TOKENS_MIN else 0.0
        is_in, is_out = _RATIO_MIN <= sample_in <= _RATIO_MAX, _RATIO_MIN <= sample_out <= _RATIO_MAX
        if not model or not (is_in or is_out):
            return
        known = self._ratios.get(model) or self._add(model)
        if is_in:
            before = known.input
            known.input = sample_in if before is None else before + (sample_in - before) * _WEIGHT
        if is_out:
            before = known.output
            known.output = sample_out if before is None else before + (sample_out - before) * _WEIGHT

    def _add(self, model: str) -> _Ratios:
        if len(self._ratios) >= self._models_max:
            del self._ratios[next(iter(self._ratios))]
        added = self._ratios[model] = _Ratios()
        return added
