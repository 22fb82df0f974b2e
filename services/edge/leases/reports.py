"""
Reports: totals on their way to the limiter.

What changed is sent at the tick after the next one, together with what has changed since, and again every 50 ms until
the limiter has acknowledged exactly these totals; then, or when the lease can no longer matter, it is forgotten. A
report is small and says everything, so losing, doubling or reordering some of them changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.contracts.limiter.values import Bucket, ReportAck
from services.edge.leases.lease import Lease

REPEAT_S = 0.05
PAUSE_S = 0.25

LeaseKey = tuple[Bucket, int]


class Reports:
    """Leases whose totals the limiter has not acknowledged."""

    def __init__(self) -> None:
        self._changed: list[Lease] = []
        self._sent: dict[LeaseKey, Lease] = {}
        self._paused_until_s = 0.0
        self._is_ripe = False
        """What has changed was there at the last tick, too."""

    def __bool__(self) -> bool:
        return bool(self._changed or self._sent)

    def note(self, lease: Lease) -> None:
        """Its totals have changed."""
        if not lease.is_noted:
            lease.is_noted = True
            self._changed.append(lease)

    def due(self, now_s: float) -> Iterator[Lease]:
        """Those to be sent now: the changed ones, and those sent 50 ms ago without an answer."""
        changed = self._changed if self._is_ripe else []
        self._changed = [] if self._is_ripe else self._changed
        self._is_ripe = bool(self._changed)
        for lease in changed:
            lease.is_noted = False
            if lease.totals() != lease.acknowledged and now_s < lease.dead_at_s:
                yield self._send(lease, now_s)
        if now_s < self._paused_until_s:
            return
        for lease in list(self._overdue(now_s)):
            if now_s >= lease.dead_at_s:
                del self._sent[lease.bucket, lease.sequence]
            else:
                yield self._send(lease, now_s)

    def pause(self, now_s: float) -> None:
        """The limiter's store is down: repeat less often, or every edge would hammer at it."""
        self._paused_until_s = now_s + PAUSE_S

    def acknowledge(self, ack: ReportAck) -> None:
        """The limiter has these totals."""
        lease = self._sent.get((ack.bucket, ack.sequence))
        if lease is None:
            return
        spent, returned, is_closed = lease.acknowledged
        lease.acknowledged = max(spent, ack.spent), max(returned, ack.returned), is_closed or ack.is_closed
        if lease.acknowledged == lease.totals():
            del self._sent[ack.bucket, ack.sequence]

    def _send(self, lease: Lease, now_s: float) -> Lease:
        key = lease.bucket, lease.sequence
        self._sent.pop(key, None)
        self._sent[key] = lease
        lease.sent_at_s = now_s
        return lease

    def _overdue(self, now_s: float) -> Iterator[Lease]:
        """In the order they were sent, so the first young one ends it."""
        for lease in self._sent.values():
            if now_s - lease.sent_at_s < REPEAT_S:
                return
            yield lease
