"""
Holding: what this edge has of one bucket. One lease to spend from, one ask under way, and the requests that wait.

Waiting requests are served strictly in their order. One that wants more than a lease holds keeps what it got and
waits for the next lease; if the limiter then refuses, it gives everything back and those behind it may be served from
that. A request that goes away leaves no trace. So where somebody waits or something is owed, the lease that may be
spent from, if there is one, has nothing free, and a new request cannot overtake.

No clock, no link: times come in, and what is to be sent is the ledger's business (ledger.py).
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from services.contracts.limiter.values import Bucket
from services.edge.leases.allowance import OwnSpending
from services.edge.leases.lease import Lease
from services.edge.leases.values import Admitted, Decision, Refused, Unavailable

DEMAND_S = 0.1
"""`ahead` is what the edge will need in this time at its present rate."""
FIRST_DEMAND_S = 1.0
"""A bucket's first request counts as one in this time: alone it is no reason to ask ahead."""


class Waiter(msgspec.Struct, eq=False):
    """One request that waits for units. `lacking` is what it does not have yet, `parts` what it has."""

    holding: Holding
    units: int
    lacking: int
    gives_up_at_s: float
    traceparent: str
    decision: asyncio.Future[Decision]
    parts: tuple[tuple[Lease, int], ...] = ()

    def collect(self, lease: Lease) -> None:
        """All the lease has, which is not enough."""
        self.parts = (*self.parts, (lease, lease.free))
        self.lacking -= lease.free
        lease.free = 0

    def put_back(self) -> list[Lease]:
        """Let go of everything; the leases that changed by it."""
        leases = [lease for lease, _ in self.parts]
        for lease, units in self.parts:
            lease.put_back(units)
        self.parts = ()
        self.lacking = self.units
        return leases

    def let_go_of_ended(self, now_s: float) -> None:
        """The limiter counts the units of a lease as spent when it expires: spent later, they would count nowhere."""
        for lease, units in self.parts:
            if now_s >= lease.stops_at_s:
                lease.put_back(units)
                self.lacking += units
        self.parts = tuple((lease, units) for lease, units in self.parts if now_s < lease.stops_at_s)

    def decide(self, decision: Decision) -> None:
        """Let the request go on."""
        if not self.decision.done():
            self.decision.set_result(decision)


class OpenAsk:
    """The ask under way. Its lease's validity counts from `first_at_s`."""

    __slots__ = ("attempts", "first_at_s", "is_sent", "sent_at_s", "sequence", "stores_down")

    def __init__(self, sequence: int, now_s: float) -> None:
        self.sequence = sequence
        self.first_at_s = self.sent_at_s = now_s
        self.is_sent = False
        self.attempts = 0
        self.stores_down = 0


class Holding:
    """One bucket at this edge."""

    __slots__ = (
        "ask",
        "bucket",
        "debt",
        "demand",
        "demand_since_s",
        "lease",
        "limit",
        "own",
        "rate",
        "refused_until_s",
        "remaining",
        "reset_at_s",
        "store_down_until_s",
        "waiters",
    )

    def __init__(self, bucket: Bucket, limit: int, now_s: float) -> None:
        self.bucket = bucket
        self.limit = limit
        self.lease: Lease | None = None
        self.ask: OpenAsk | None = None
        self.waiters: deque[Waiter] = deque()
        self.debt = 0
        self.remaining = 0
        self.reset_at_s = self.refused_until_s = 0.0
        self.store_down_until_s = 0.0
        """Until then what a limiter said of its store is believed, and nobody waits to hear it again."""
        self.demand = 0
        self.demand_since_s = now_s - FIRST_DEMAND_S
        self.rate = 0.0
        self.own = OwnSpending(bucket.technique, bucket.window_s)

    def waiting_units(self) -> int:
        """What requests in hand want, and what is owed."""
        return self.debt + sum(waiter.lacking for waiter in self.waiters)

    def ahead(self, now_s: float, waiting: int) -> int:
        """What the edge will need in the next 100 ms at its present rate, less what waits already."""
        passed_s = now_s - self.demand_since_s
        if passed_s >= DEMAND_S:
            self.rate = self.demand * DEMAND_S / passed_s
            self.demand = 0
            self.demand_since_s = now_s
        return max(0, int(max(self.rate, self.demand)) - waiting)

    def refusal(self, now_s: float) -> Refused:
        """From memory, counted down since the limiter said it."""
        retry_after_ms = round((self.refused_until_s - now_s) * 1000)
        return Refused(max(1, retry_after_ms), max(0.0, self.reset_at_s - now_s))

    def is_idle(self, now_s: float, wall_s: float) -> bool:
        """Nothing would be lost with it."""
        is_busy = self.lease or self.ask or self.waiters or now_s < self.refused_until_s
        if self.debt and now_s >= self.reset_at_s:
            self.debt = 0
        return not is_busy and not self.debt and not self.own.spent(wall_s)

    def serve(self, now_s: float) -> None:
        """Give what the lease has: first what is owed, then to those who wait, in their order."""
        lease, waiters = self.lease, self.waiters
        if lease is None or now_s >= lease.stops_at_s:
            return
        if self.debt:
            self.debt -= lease.charge(self.debt)
        if waiters and lease.free:
            lease.used_at_s = now_s
        reset_s = self.reset_at_s - now_s
        while waiters and lease.free:
            waiter = waiters[0]
            if waiter.parts:
                waiter.let_go_of_ended(now_s)
            if waiter.decision.done():  # cancelled just now; it lets go of what it had by itself
                waiters.popleft()
            elif waiter.lacking > lease.free:
                waiter.collect(lease)
            else:
                waiters.popleft()
                waiter.decision.set_result(self._admitted(waiter, lease, reset_s))

    def refuse(self, now_s: float) -> list[Lease]:
        """The limiter has nothing: everybody is refused who cannot be served from what others let go of."""
        changed: list[Lease] = []
        while self.waiters:
            waiter = self.waiters.popleft()
            changed += waiter.put_back()
            lease = self.lease
            if waiter.decision.done():
                continue
            if lease is not None and waiter.units <= lease.free and now_s < lease.stops_at_s:
                lease.used_at_s = now_s
                waiter.decision.set_result(self._admitted(waiter, lease, self.reset_at_s - now_s))
            else:
                waiter.decide(self.refusal(now_s))
        return changed

    def give_up(self, reason: str) -> list[Lease]:
        """The limiter is out of reach: nobody waits any longer."""
        changed: list[Lease] = []
        while self.waiters:
            waiter = self.waiters.popleft()
            changed += waiter.put_back()
            waiter.decide(Unavailable(reason))
        return changed

    def withdraw(self, waiter: Waiter) -> list[Lease]:
        """Its request has gone away."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        return waiter.put_back()

    def _admitted(self, waiter: Waiter, lease: Lease, reset_s: float) -> Admitted:
        """From here on the units are the request's, not the waiter's."""
        lease.free = free = lease.free - waiter.lacking
        return Admitted(lease, waiter.units, self.remaining + free, reset_s, waiter.parts)
