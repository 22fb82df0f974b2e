"""
Outstanding: keys that wait for an answer, and when each has waited long enough.

A key and its deadline are one entry of a dictionary: to wait is to write it, to be answered is to take it out, and a
deadline has no timer. All are looked through only when the earliest one may have passed. Which is seldom, because
nearly all are answered long before: the earliest is remembered from the last look, and may have been answered since.
Deadlines hold to half a tick.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

TICK_S = 0.010


class Outstanding:
    """Keys in the order they were first added. Pure: time comes in with each question."""

    __slots__ = ("_earliest_s", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[Hashable, float] = {}
        """Each key's deadline, infinite for none. To be read, and popped from when a key is answered or given up."""
        self._earliest_s = math.inf
        """No deadline is before."""

    def add(self, key: Hashable, *, deadline_at_s: float = math.inf) -> None:
        """Wait for this key, again with a new deadline if it waits already."""
        self.waiting[key] = deadline_at_s
        if deadline_at_s < self._earliest_s:
            self._earliest_s = deadline_at_s

    def expire(self, now_s: float) -> list[Hashable]:
        """Keys whose deadline has passed, earliest first; they wait no longer."""
        until_s = now_s + TICK_S / 2
        if self._earliest_s > until_s:
            return []
        waiting = self.waiting
        expired = [key for key, deadline_at_s in waiting.items() if deadline_at_s <= until_s]
        expired.sort(key=waiting.__getitem__)
        for key in expired:
            del waiting[key]
        self._earliest_s = min(waiting.values(), default=math.inf)
        return expired

    def take(self) -> list[Hashable]:
        """All keys, in order; none waits any longer."""
        keys = list(self.waiting)
        self.waiting.clear()
        self._earliest_s = math.inf
        return keys
