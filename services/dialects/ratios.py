"""
Ratios: how many bytes of text one token is, learned per model from answers that do report usage.

What a provider does not report is estimated with them. Input and output have ratios of their own, since a request's
bytes hold JSON beside the text. Until a model has taught anything, a token is 4 bytes.
"""

from __future__ import annotations

import math
from typing import Final, Literal

Direction = Literal["in", "out"]

BYTES_PER_TOKEN: Final = 4.0

# Samples outside of these say something about a file in the request or a provider's way of counting, not about text.
_RATIO_MIN: Final = 1.0
_RATIO_MAX: Final = 16.0
_SAMPLE_TOKENS_MIN: Final = 8

# Each answer moves the ratio by a tenth of the difference: a hundred odd ones are forgotten after a few dozen.
_WEIGHT: Final = 0.1


class RatioTable:
    """Ratios by model. Bounded: a new model beyond the bound replaces the one learned first."""

    def __init__(self, *, models_max: int = 2_048) -> None:
        self._entries_max = models_max * 2
        self._ratios: dict[tuple[str, Direction], float] = {}

    def bytes_per_token(self, model: str, direction: Direction) -> float:
        """The ratio as far as it is known."""
        return self._ratios.get((model, direction), BYTES_PER_TOKEN)

    def tokens(self, model: str, direction: Direction, size_bytes: int) -> int:
        """About how many tokens these bytes are, rounded up."""
        return math.ceil(size_bytes / self.bytes_per_token(model, direction))

    def learn(self, model: str, direction: Direction, size_bytes: int, tokens: int) -> None:
        """An answer has reported how many tokens these bytes were."""
        if not model or tokens < _SAMPLE_TOKENS_MIN or not _RATIO_MIN <= size_bytes / tokens <= _RATIO_MAX:
            return
        key = (model, direction)
        known = self._ratios.get(key)
        if known is None:
            if len(self._ratios) >= self._entries_max:
                del self._ratios[next(iter(self._ratios))]
            self._ratios[key] = size_bytes / tokens
        else:
            self._ratios[key] = known + (size_bytes / tokens - known) * _WEIGHT
