"""
Windows: how much of a bucket is spent right now, and how big a lease may be. No clock, no store, no await.

A fixed window begins at multiples of its length since the epoch and forgets everything when it ends. A sliding
one forgets each unit a whole window after it came in: units lie in at most 128 sparse sub-buckets, and one leaves
when all of it is out, so any interval of the window's length is covered wherever it begins. The weighted estimate
from two buckets that others use would admit almost twice the limit.

All times are whole microseconds, as Redis tells them, and callers pass times that never go back; what goes on the
wire is milliseconds, rounded so that nobody is promised more than there is. Hazard: lease.lua does the very same
arithmetic inside Redis; tests/contract/test_lease_store.py holds the two together.
"""

from __future__ import annotations

from typing import Protocol

from services.contracts.limiter.values import Technique

LEASE_VALID_MS = 1_000
US_PER_MS = 1_000
SUB_BUCKETS_MAX = 128
LEASES_PER_LIMIT = 128
"""One lease is at most this part of the limit: what one crash can waste."""
RETRY_AFTER_MS_MAX = 100


class Window(Protocol):
    """What is spent of one bucket. Every method but `advance` means the moment last advanced to."""

    spent: int

    def advance(self, now_us: int) -> None:
        """Forget what is out by now."""
        ...

    def enter(self, units: int) -> None:
        """Units the store hears of now."""
        ...

    def expire(self, units: int, *, granted_us: int, expired_us: int) -> None:
        """Units of a lease that expired unreported enter as spent, at the expiry's time."""
        ...

    def lease_valid_ms(self) -> int:
        """How long a lease granted now may be spent."""
        ...

    def frees_in_us(self) -> int | None:
        """When units next leave by themselves; None when there are none to leave."""
        ...

    def reset_us(self) -> int:
        """What a client is told: when more comes back by itself."""
        ...

    def ends_us(self) -> int:
        """From this moment on nothing in the window counts any more."""
        ...


class FixedWindow:
    """Begins at multiples of its length since the epoch."""

    __slots__ = ("_index", "_now_us", "_window_us", "spent")

    def __init__(self, window_us: int) -> None:
        self.spent = 0
        self._window_us = window_us
        self._index = 0
        self._now_us = 0

    def advance(self, now_us: int) -> None:
        """The next window starts with nothing spent."""
        self._now_us = now_us
        index = now_us // self._window_us
        if index != self._index:
            self._index = index
            self.spent = 0

    def enter(self, units: int) -> None:
        """Into the window that is running."""
        self.spent += units

    def expire(self, units: int, *, granted_us: int, expired_us: int) -> None:
        """A lease never outlives the window it was granted in, so that is where its units belong."""
        if granted_us // self._window_us == self._index:
            self.spent += units

    def lease_valid_ms(self) -> int:
        """At most the rest of the window."""
        return min(LEASE_VALID_MS, (self.ends_us() - self._now_us) // US_PER_MS)

    def frees_in_us(self) -> int | None:
        """All at once, at the end."""
        return self.ends_us() - self._now_us

    def reset_us(self) -> int:
        """To the window's end."""
        return self.ends_us() - self._now_us

    def ends_us(self) -> int:
        """The beginning of the next window."""
        return (self._index + 1) * self._window_us


class SlidingWindow:
    """Any interval of its length, wherever it begins."""

    __slots__ = ("_first_slot", "_now_us", "_slot_us", "_slots", "_window_us", "spent")

    def __init__(self, window_us: int) -> None:
        self.spent = 0
        self._window_us = window_us
        self._slot_us = slot_length_us(window_us)
        self._slots: dict[int, int] = {}
        self._first_slot = 0
        self._now_us = 0

    def advance(self, now_us: int) -> None:
        """Drop the sub-buckets that are wholly out; looks at them only when the first one is."""
        self._now_us = now_us
        if not self._slots or self._leaves_us(self._first_slot) > now_us:
            return
        for slot in [slot for slot in self._slots if self._leaves_us(slot) <= now_us]:
            self.spent -= self._slots.pop(slot)
        self._first_slot = min(self._slots, default=0)

    def enter(self, units: int) -> None:
        """Into the sub-bucket of this moment."""
        self._put(units, self._now_us // self._slot_us)

    def expire(self, units: int, *, granted_us: int, expired_us: int) -> None:
        """Into the sub-bucket of the expiry, unless that one has already left."""
        slot = expired_us // self._slot_us
        if self._leaves_us(slot) > self._now_us:
            self._put(units, slot)

    def lease_valid_ms(self) -> int:
        """Always the same: a sliding window has no end."""
        return LEASE_VALID_MS

    def frees_in_us(self) -> int | None:
        """When the oldest sub-bucket leaves."""
        return self._leaves_us(self._first_slot) - self._now_us if self._slots else None

    def reset_us(self) -> int:
        """Until the oldest units leave; a whole window when there are none yet."""
        frees_in_us = self.frees_in_us()
        return self._window_us if frees_in_us is None else min(frees_in_us, self._window_us)

    def ends_us(self) -> int:
        """What came in now has left by then."""
        return self._leaves_us(self._now_us // self._slot_us)

    def sub_buckets(self) -> int:
        """How many are kept, for the bound."""
        return len(self._slots)

    def _put(self, units: int, slot: int) -> None:
        if not units:
            return
        self.spent += units
        self._slots[slot] = self._slots.get(slot, 0) + units
        self._first_slot = slot if len(self._slots) == 1 else min(self._first_slot, slot)

    def _leaves_us(self, slot: int) -> int:
        return (slot + 1) * self._slot_us + self._window_us


def open_window(technique: Technique, window_us: int) -> Window:
    """An empty window."""
    return FixedWindow(window_us) if technique == "fixed" else SlidingWindow(window_us)


def slot_length_us(window_us: int) -> int:
    """
    The length of a sub-bucket.

    A window touches one more sub-bucket than it has lengths, since it begins anywhere in one; so 127 lengths keep
    128 sub-buckets.
    """
    return -(-window_us // (SUB_BUCKETS_MAX - 1))


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


def retry_after_ms(window: Window, technique: Technique, *, held: int, lease_expires_in_us: int | None) -> int:
    """
    How long a refused edge answers from memory.

    With nothing held in a fixed window, to its end. Else something may come back any moment: to the next sub-bucket
    or lease expiry, and never long, because edges give back what they do not need.
    """
    frees_in_us = window.frees_in_us()
    if technique == "fixed" and held == 0:
        return max(1, whole_ms(frees_in_us or 0))
    moments_us = [RETRY_AFTER_MS_MAX * US_PER_MS]
    if frees_in_us is not None:
        moments_us.append(frees_in_us)
    if lease_expires_in_us is not None:
        moments_us.append(lease_expires_in_us)
    return max(1, whole_ms(min(moments_us)))


def whole_ms(duration_us: int) -> int:
    """Rounded up: whoever waits that long has waited long enough."""
    return -(-duration_us // US_PER_MS)
