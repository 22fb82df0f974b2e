"""
Backoff: how long to wait before the next try to connect.

Delays double from 0.1 s to 2 s, each drawn from its upper half, so that a hundred edges that lost the same
replica do not come back in the same moment. The count starts anew only after a stream has stood for a while: a replica
that accepts and drops at once is not worth hurrying to.
"""

from __future__ import annotations

from collections.abc import Callable

DELAY_S_MIN = 0.1
DELAY_S_MAX = 2.0
STOOD_S_MIN = 2.0
"""A stream that stood this long ends the count of failures."""


class Backoff:
    """The delays of one stream. `random` gives numbers from 0 to below 1."""

    def __init__(self, *, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def next_s(self, *, stood_s: float) -> float:
        """The delay after a try whose stream stood for `stood_s` (0: it never did)."""
        if stood_s >= STOOD_S_MIN:
            self._failures = 0
        longest_s = min(DELAY_S_MAX, DELAY_S_MIN * float(2 << self._failures))
        self._failures = min(self._failures + 1, 16)
        return max(DELAY_S_MIN, longest_s * (0.5 + self._random() / 2))
