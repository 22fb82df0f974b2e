"""
Windows: how much of a bucket is spent right now, and how big a lease may be. No clock, no store, no await.

A fixed window begins at multiples of its length since the epoch and forgets everything when it ends. A sliding
one forgets each unit a whole window after it came in: units lie in at most 128 sparse sub-buckets, and one leaves
when all of it is out, so any interval of the window's length is covered wherever it begins. The weighted estimate
from two buckets that others use would admit almost twice the limit.

All times are whole milliseconds, and callers pass times that never go back. Hazard: lease.lua does the very same
arithmetic inside Redis; tests/contract/test_lease_store.py holds the two together.
"""

from __future__ import annotations

from typing import Protocol

from services.contracts.limiter.values import Technique

LEASE_VALID_MS = 1_000
SUB_BUCKETS_MAX = 128
LEASES_PER_LIMIT = 128
"""One lease is at most this part of the limit: what one crash can waste."""
RETRY_AFTER_MS_MAX = 100


class Window(Protocol):
    """What is spent of one bucket. Every method but `advance` means the moment last advanced to."""

    spent: int

    def advance(self, now_ms: int) -> None:
        """Forget what is out by now."""
        ...

    def enter(self, units: int) -> None:
        """Units the store hears of now."""
        ...

    def expire(self, units: int, *, granted_ms: int, expired_ms: int) -> None:
        """Units of a lease that expired unreported enter as spent, at the expiry's time."""
        ...

    def lease_valid_ms(self) -> int:
        """How long a lease granted now may be spent."""
        ...

    def frees_in_ms(self) -> int | None:
        """When units next leave by themselves; None when there are none to leave."""
        ...

    def reset_ms(self) -> int:
        """What a client is told: when more comes back by itself."""
        ...

    def ends_ms(self) -> int:
        """From this moment on nothing in the window counts any more."""
        ...


class FixedWindow:
    """Begins at multiples of its length since the epoch."""

    __slots__ = ("_index", "_now_ms", "_window_ms", "spent")

    def __init__(self, window_ms: int) -> None:
        self.spent = 0
        self._window_ms = window_ms
        self._index = 0
        self._now_ms = 0

    def advance(self, now_ms: int) -> None:
        """The next window starts with nothing spent."""
        self._now_ms = now_ms
        index = now_ms // self._window_ms
        if index != self._index:
            self._index = index
            self.spent = 0

    def enter(self, units: int) -> None:
        """Into the window that is running."""
        self.spent += units

    def expire(self, units: int, *, granted_ms: int, expired_ms: int) -> None:
        """A lease never outlives the window it was granted in, so that is where its units belong."""
        if granted_ms // self._window_ms == self._index:
            self.spent += units

    def lease_valid_ms(self) -> int:
        """At most the rest of the window."""
        return min(LEASE_VALID_MS, self.ends_ms() - self._now_ms)

    def frees_in_ms(self) -> int | None:
        """All at once, at the end."""
        return self.ends_ms() - self._now_ms

    def reset_ms(self) -> int:
        """To the window's end."""
        return self.ends_ms() - self._now_ms

    def ends_ms(self) -> int:
        """The beginning of the next window."""
        return (self._index + 1) * self._window_ms


class SlidingWindow:
    """Any interval of its length, wherever it begins."""

    __slots__ = ("_first_slot", "_now_ms", "_slot_ms", "_slots", "_window_ms", "spent")

    def __init__(self, window_ms: int) -> None:
        self.spent = 0
        self._window_ms = window_ms
        self._slot_ms = slot_length_ms(window_ms)
        self._slots: dict[int, int] = {}
        self._first_slot = 0
        self._now_ms = 0

    def advance(self, now_ms: int) -> None:
        """Drop the sub-buckets that are wholly out; looks at them only when the first one is."""
        self._now_ms = now_ms
        if not self._slots or self._leaves_ms(self._first_slot) > now_ms:
            return
        for slot in [slot for slot in self._slots if self._leaves_ms(slot) <= now_ms]:
            self.spent -= self._slots.pop(slot)
        self._first_slot = min(self._slots, default=0)

    def enter(self, units: int) -> None:
        """Into the sub-bucket of this moment."""
        self._put(units, self._now_ms // self._slot_ms)

    def expire(self, units: int, *, granted_ms: int, expired_ms: int) -> None:
        """Into the sub-bucket of the expiry, unless that one has already left."""
        slot = expired_ms // self._slot_ms
        if self._leaves_ms(slot) > self._now_ms:
            self._put(units, slot)

    def lease_valid_ms(self) -> int:
        """Always the same: a sliding window has no end."""
        return LEASE_VALID_MS

    def frees_in_ms(self) -> int | None:
        """When the oldest sub-bucket leaves."""
        return self._leaves_ms(self._first_slot) - self._now_ms if self._slots else None

    def reset_ms(self) -> int:
        """Until the oldest units leave; a whole window when there are none yet."""
        frees_in_ms = self.frees_in_ms()
        return self._window_ms if frees_in_ms is None else min(frees_in_ms, self._window_ms)

    def ends_ms(self) -> int:
        """What came in now has left by then."""
        return self._leaves_ms(self._now_ms // self._slot_ms)

    def sub_buckets(self) -> int:
        """How many are kept, for the bound."""
        return len(self._slots)

    def _put(self, units: int, slot: int) -> None:
        if not units:
            return
        self.spent += units
        self._slots[slot] = self._slots.get(slot, 0) + units
        self._first_slot = slot if len(self._slots) == 1 else min(self._first_slot, slot)

    def _leaves_ms(self, slot: int) -> int:
        return (slot + 1) * self._slot_ms + self._window_ms


def open_window(technique: Technique, window_ms: int) -> Window:
    """An empty window."""
    return FixedWindow(window_ms) if technique == "fixed" else SlidingWindow(window_ms)


def slot_length_ms(window_ms: int) -> int:
    """
    The length of a sub-bucket.

    A window touches one more sub-bucket than it has lengths, since it begins anywhere in one; so 127 lengths keep
    128 sub-buckets.
    """
    return -(-window_ms // (SUB_BUCKETS_MAX - 1))


def grant_units(*, remaining: int, limit: int, waiting: int, ahead: int, edges: int) -> int:
    """
    The size of a lease; 0 only when nothing remains.

    Requests in hand first, then what the edge will need in the next 100 ms, but of what remains no more than a
    quarter of this edge's even share, so that the last units are not idle on edges that do not need them.
    """
    if remaining <= 0:
        return 0
    wanted = waiting + min(ahead, (remaining - waiting) // (4 * max(1, edges)))
    return min(remaining, max(1, limit // LEASES_PER_LIMIT), max(1, wanted))


def retry_after_ms(window: Window, technique: Technique, *, held: int, lease_expires_in_ms: int | None) -> int:
    """
    How long a refused edge answers from memory.

    With nothing held in a fixed window, to its end. Else something may come back any moment: to the next sub-bucket
    or lease expiry, and never long, because edges give back what they do not need.
    """
    frees_in_ms = window.frees_in_ms()
    if technique == "fixed" and held == 0:
        return max(1, frees_in_ms or 1)
    moments_ms = [RETRY_AFTER_MS_MAX]
    if frees_in_ms is not None:
        moments_ms.append(frees_in_ms)
    if lease_expires_in_ms is not None:
        moments_ms.append(lease_expires_in_ms)
    return max(1, min(moments_ms))
