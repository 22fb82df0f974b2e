"""
Allowance: what an edge may spend on its own while the limiter is out of reach and the limit's `failMode` is open.

An even share of the limit, and what the edge already spent from leases in this window counts. So all edges together
stay near the limit, not at a multiple of it. Windows are told by this machine's own clock, and a sliding
one by 16 sub-buckets: it is a makeshift, outside the promise, and visible as such.
"""

from __future__ import annotations

from services.contracts.limiter.values import Technique

_SUB_BUCKETS = 16


class OwnSpending:
    """Units this edge spent of one bucket. Implements `Source` for those it admits by itself."""

    __slots__ = ("_slot_s", "_slots", "_spent", "_technique", "_window_s")

    def __init__(self, technique: Technique, window_s: int) -> None:
        self._technique = technique
        self._window_s = window_s
        self._slot_s = window_s / _SUB_BUCKETS if technique == "sliding" else float(window_s)
        self._slots: dict[int, int] = {}
        self._spent = 0

    def note(self, units: int, wall_s: float) -> None:
        """Spent now."""
        slot = int(wall_s / self._slot_s)
        if slot not in self._slots:
            self._forget(wall_s)
            self._slots[slot] = 0
        self._slots[slot] += units
        self._spent += units

    def spent(self, wall_s: float) -> int:
        """In the window that is running."""
        self._forget(wall_s)
        return self._spent

    def frees_in_ms(self, wall_s: float) -> int:
        """When some of it comes back; at least a millisecond."""
        first = min(self._slots, default=int(wall_s / self._slot_s))
        return max(1, round((self._leaves_s(first) - wall_s) * 1000))

    def confirm(self, units: int) -> None:
        """Counted already."""

    def put_back(self, units: int) -> None:
        """From the newest, which is where it most likely lies."""
        if self._slots:
            self._slots[max(self._slots)] -= units
            self._spent -= units

    def _forget(self, wall_s: float) -> None:
        for slot in [slot for slot in self._slots if self._leaves_s(slot) <= wall_s]:
            self._spent -= self._slots.pop(slot)

    def _leaves_s(self, slot: int) -> float:
        ends_s = (slot + 1) * self._slot_s
        return ends_s + self._window_s if self._technique == "sliding" else ends_s


def share(limit: int, edges: int) -> int:
    """The even share of a limit, rounded up so that a small one is not nothing."""
    return -(-limit // max(1, edges))
