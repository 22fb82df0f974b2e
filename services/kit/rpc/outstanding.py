"""
Outstanding: keys that wait for an answer, and when each has waited long enough.

One coarse wheel holds all deadlines: a slot per 10 ms, a key in the slot of its deadline. So a deadline costs two
dictionary writes and no timer, and the stream asks once per tick which slots have passed. Slots are rounded
down: who was promised at most 100 ms hears at the tick next to it, never a slot later.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable

TICK_S = 0.010
_NO_SLOT = -1


class Outstanding:
    """Keys in the order they were first added. Pure: time comes in with each question."""

    def __init__(self) -> None:
        self._slot_of: dict[Hashable, int] = {}
        self._wheel: dict[int, dict[Hashable, None]] = {}
        self._slots: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._slot_of

    def add(self, key: Hashable, *, deadline_at_s: float | None = None) -> None:
        """Wait for this key, again with a new deadline if it waits already."""
        known = self._slot_of.get(key, _NO_SLOT)
        if known != _NO_SLOT:
            self._wheel[known].pop(key, None)
        if deadline_at_s is None:
            self._slot_of[key] = _NO_SLOT
            return
        slot = int(deadline_at_s / TICK_S)
        self._slot_of[key] = slot
        waiting = self._wheel.get(slot)
        if waiting is None:
            waiting = self._wheel[slot] = {}
            heapq.heappush(self._slots, slot)
        waiting[key] = None

    def settle(self, key: Hashable) -> bool:
        """The key is answered or given up; False if nobody waited for it."""
        slot = self._slot_of.pop(key, None)
        if slot is None:
            return False
        if slot != _NO_SLOT:
            self._wheel[slot].pop(key, None)
        return True

    def expire(self, now_s: float) -> list[Hashable]:
        """Keys whose deadline has passed, earliest first; they wait no longer."""
        expired: list[Hashable] = []
        last_slot = int(now_s / TICK_S)
        while self._slots and self._slots[0] <= last_slot:
            expired.extend(self._wheel.pop(heapq.heappop(self._slots)))
        for key in expired:
            del self._slot_of[key]
        return expired

    def take(self) -> list[Hashable]:
        """All keys, in order; none waits any longer."""
        keys = list(self._slot_of)
        self._slot_of.clear()
        self._wheel.clear()
        self._slots.clear()
        return keys
