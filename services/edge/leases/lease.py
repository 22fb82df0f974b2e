"""
Lease: the units of one grant, from the edge's side.

A unit is free, then pending (admitted, its request's head not yet written), then spent; or it is given back. The
four always add up to what was granted, so what is pending is not counted but is the rest. What the limiter is told are
the totals `spent` and `returned`, and `closed` once nothing can change them any more.

Hazard: a lease is spent only until `stops_at_s`, nine tenths of its validity counted from the first ask on a
clock that runs through a suspend. The limiter lets it expire after the whole, so a clock that runs a little
slow here still stops in time.
"""

from __future__ import annotations

from services.contracts.limiter.values import Bucket, Grant, Report

STOP_AT = 0.9
"""Of the validity: a clock that is being slewed may run 8 % off."""
GIVE_BACK_AT = 0.8
"""Of the validity: what is left goes back before it is lost."""
UNUSED_S = 0.1
"""A lease not spent from for this long is needed more elsewhere."""
SETTLES_S = 1.0
"""Reports are repeated this long past a lease's validity; the limiter ignores them by then."""

Totals = tuple[int, int, bool]


class Lease:
    """One grant. Times are on the boot clock."""

    __slots__ = (
        "acknowledged",
        "bucket",
        "dead_at_s",
        "free",
        "give_back_at_s",
        "is_current",
        "is_noted",
        "is_plentiful",
        "limit",
        "low_units",
        "returned",
        "sent_at_s",
        "sequence",
        "spent",
        "stops_at_s",
        "units",
        "used_at_s",
    )

    def __init__(self, bucket: Bucket, sequence: int, *, limit: int, units: int = 0, dead_at_s: float) -> None:
        self.bucket = bucket
        self.sequence = sequence
        self.limit = limit
        self.units = self.free = units
        self.spent = self.returned = 0
        self.is_current = False
        self.is_plentiful = False
        self.low_units = 0
        self.stops_at_s = self.give_back_at_s = self.used_at_s = self.sent_at_s = 0.0
        self.dead_at_s = dead_at_s
        self.acknowledged: Totals = (0, 0, False)
        self.is_noted = False

    @classmethod
    def granted(cls, grant: Grant, *, limit: int, asked_at_s: float, now_s: float) -> Lease:
        """The lease of a grant, to be spent from `now_s` on; its validity began when it was first asked for."""
        valid_s = grant.valid_ms / 1000
        lease = cls(grant.bucket, grant.sequence, limit=limit, units=grant.units, dead_at_s=now_s + valid_s + SETTLES_S)
        lease.is_current = True
        lease.stops_at_s = asked_at_s + STOP_AT * valid_s
        lease.give_back_at_s = asked_at_s + GIVE_BACK_AT * valid_s
        lease.used_at_s = now_s
        lease.is_plentiful = grant.remaining >= 4 * grant.edges * grant.units
        lease.low_units = grant.units // 4 if lease.is_plentiful else 0
        return lease

    @property
    def looks_at_s(self) -> float:
        """When to look at it again: it may be unused, or at the end of its time."""
        return min(self.used_at_s + UNUSED_S, self.give_back_at_s)

    @property
    def taken(self) -> int:
        """What requests have of it."""
        return self.units - self.free - self.returned

    def confirm(self, units: int) -> None:
        """The request's head is written, or the request has ended."""
        self.spent += units

    def put_back(self, units: int) -> None:
        """The request was not made after all: to be spent again while this is the edge's lease, else given back."""
        if self.is_current:
            self.free += units
        else:
            self.returned += units

    def charge(self, units: int) -> int:
        """Spend at once, for a request that has used more than it was admitted for; how much could be."""
        charged = min(units, self.free)
        self.free -= charged
        self.spent += charged
        return charged

    def end(self) -> None:
        """Nothing more is spent from it; what is free goes back."""
        self.is_current = False
        self.returned += self.free
        self.free = 0

    def totals(self) -> Totals:
        """What the limiter must know."""
        return self.spent, self.returned, not self.is_current and self.taken == self.spent

    def report(self, edge: str) -> Report:
        """The totals as a message."""
        spent, returned, is_closed = self.totals()
        return Report(edge, self.bucket, self.sequence, spent, returned, is_closed, self.limit)
