"""
Bucket: the leases of one counter, decided in plain arithmetic.

This is the protocol's heart (docs/leases.md), as the in-memory store runs it; lease.lua is the same inside Redis.
A lease's units are *held* from the grant on, and held + spent never exceeds the limit. Reports are totals, so a
repeated or reordered one changes nothing. What nobody reported when a lease expires counts as spent: expiry never
gives anything back, because the edge that went silent may have spent it all.

Hazard: a sequence that was closed stays closed. A late copy of its ask must not make a second lease, since the edge
takes the grant of a sequence only once and nobody would ever use it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from services.contracts.limiter.values import Ask, Bucket, Closed, Grant, Refusal, Report, ReportAck
from services.limiter.window import US_PER_MS, Window, grant_units, open_window, retry_after_ms, whole_ms

CLOSED_EDGES_MAX = 1_024
"""Edges whose highest closed sequence one bucket remembers; beyond it those longest silent go."""
CLOSED_KEPT_MS = 60_000
"""A bucket outlives its last unit by this, so that asks still on their way find their sequence closed."""


@dataclass(slots=True)
class StoredLease:
    """Units one edge may spend. `spent` and `returned` are the totals reported so far."""

    units: int
    granted_us: int
    valid_ms: int
    spent: int = 0
    returned: int = 0

    @property
    def expires_us(self) -> int:
        """Exactly `valid_ms` after the grant: the edge stops earlier, the store never."""
        return self.granted_us + self.valid_ms * US_PER_MS

    @property
    def held(self) -> int:
        """Granted and not reported."""
        return self.units - self.spent - self.returned


LeaseId = tuple[str, int]


class LeasedBucket:
    """One bucket's leases and window. Time comes in with each call and never goes back."""

    __slots__ = ("_bucket", "_closed", "_expiries", "_leases", "_now_us", "_window", "held")

    def __init__(self, bucket: Bucket, window: Window | None = None) -> None:
        self.held = 0
        self._bucket = bucket
        self._window = window or open_window(bucket.technique, bucket.window_s * 1_000_000)
        self._leases: dict[LeaseId, StoredLease] = {}
        self._expiries: list[tuple[int, LeaseId]] = []
        self._closed: dict[str, int] = {}
        self._now_us = 0

    @property
    def spent(self) -> int:
        """What counts in the window now."""
        return self._window.spent

    @property
    def forget_us(self) -> int:
        """From this moment on nobody can tell this bucket from a new one."""
        return max(self._window.ends_us(), self._now_us) + CLOSED_KEPT_MS * US_PER_MS

    def ask(self, ask: Ask, *, now_us: int, edges: int) -> Grant | Refusal | Closed:
        """Decide one ask. A repeated one finds its lease unchanged."""
        self._advance(now_us)
        if ask.sequence <= self._closed.get(ask.edge, 0):
            return Closed(self._bucket, ask.sequence)
        remaining = max(0, ask.limit - self.held - self._window.spent)
        lease = self._leases.get((ask.edge, ask.sequence))
        if lease is None:
            units = grant_units(remaining=remaining, limit=ask.limit, waiting=ask.waiting, ahead=ask.ahead, edges=edges)
            if not units:
                return self._refuse(ask, edges)
            lease = self._lease(ask, units)
            remaining -= units
        return Grant(
            self._bucket, ask.sequence, lease.units, lease.valid_ms, remaining, whole_ms(self._window.reset_us()), edges
        )

    def report(self, report: Report, *, now_us: int) -> ReportAck:
        """Take one lease's totals. Unknown and expired leases are acknowledged and change nothing."""
        self._advance(now_us)
        lease = self._leases.get((report.edge, report.sequence))
        if lease is not None:
            self._take_totals(lease, report)
        if report.is_closed:
            self._close(report.edge, report.sequence)
        return ReportAck(self._bucket, report.sequence, report.spent, report.returned, report.is_closed)

    def _take_totals(self, lease: StoredLease, report: Report) -> None:
        held = lease.held
        lease.spent, spent_before = min(max(lease.spent, report.spent), lease.units - lease.returned), lease.spent
        lease.returned = min(max(lease.returned, report.returned), lease.units - lease.spent)
        if report.is_closed:
            lease.returned = lease.units - lease.spent
        self._window.enter(lease.spent - spent_before)
        self.held -= held - lease.held

    def _lease(self, ask: Ask, units: int) -> StoredLease:
        lease = StoredLease(units, self._now_us, self._window.lease_valid_ms())
        lease_id = ask.edge, ask.sequence
        self._leases[lease_id] = lease
        heapq.heappush(self._expiries, (lease.expires_us, lease_id))
        self.held += units
        return lease

    def _refuse(self, ask: Ask, edges: int) -> Refusal:
        next_expiry_us = self._next_expiry_us()
        pause_ms = retry_after_ms(
            self._window,
            self._bucket.technique,
            held=self.held,
            lease_expires_in_us=None if next_expiry_us is None else next_expiry_us - self._now_us,
        )
        return Refusal(self._bucket, ask.sequence, pause_ms, whole_ms(self._window.reset_us()), edges)

    def _advance(self, now_us: int) -> None:
        self._now_us = max(self._now_us, now_us)
        self._window.advance(self._now_us)
        while True:
            next_expiry_us = self._next_expiry_us()
            if next_expiry_us is None or next_expiry_us > self._now_us:
                return
            self._expire(heapq.heappop(self._expiries)[1])

    def _expire(self, lease_id: LeaseId) -> None:
        lease = self._leases[lease_id]
        self.held -= lease.held
        self._window.expire(lease.held, granted_us=lease.granted_us, expired_us=lease.expires_us)
        self._close(*lease_id)

    def _close(self, edge: str, sequence: int) -> None:
        self._leases.pop((edge, sequence), None)
        highest = max(self._closed.pop(edge, 0), sequence)
        if len(self._closed) >= CLOSED_EDGES_MAX:
            del self._closed[next(iter(self._closed))]
        self._closed[edge] = highest

    def _next_expiry_us(self) -> int | None:
        """The first lease to expire; closed ones are only dropped from the queue here."""
        while self._expiries and self._expiries[0][1] not in self._leases:
            heapq.heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None
