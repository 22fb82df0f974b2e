"""
Broken rules: parts of the simulation that break one rule of docs/leases.md each, and scenarios that show it.

A simulation that finds nothing proves nothing unless it would find something. So every rule that keeps limits exact is
broken here, and a test (tests/unit/limiter/test_broken_rules.py) tells that it is noticed.

Ledgers are broken from outside, by what they are told and what they say, so they stay broken in the same way when the
real one is rebuilt. Hazard: a broken rule must be noticed for what it breaks, so `scenarios` are also played whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from services.contracts.limiter.values import Bucket, Grant, LeaseAnswer, LeaseRequest, Report, ReportAck
from services.edge.leases.holding import Holding
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted
from services.kit.clock import Clock
from services.kit.rpc.link import Link, Links
from services.limiter.bucket import LeasedBucket, LeaseId
from services.limiter.memory import MemoryLeaseStore
from services.limiter.window import SlidingWindow
from tests.simulation.leases import Parts
from tests.simulation.network import SimulatedLink, Weather
from tests.simulation.scenario import Scenario, Troubles

STOP_AT = 0.9
"""Of a lease's validity, by rule 2."""
SEEDS = range(12)
BUSY = Scenario(
    seed=0,
    technique="fixed",
    window_s=5,
    limit=200,
    edges=3,
    limiters=2,
    requests_per_s=150,
    duration_s=5,
)


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """Parts that break it, and scenarios in which that shows."""

    parts: Parts
    scenarios: Sequence[Scenario]


class CreditingBucket(LeasedBucket):
    """Takes for unspent what nobody reported."""

    def _expire(self, lease_id: LeaseId) -> None:
        self.held -= self._leases[lease_id].held
        self._close(*lease_id)


class AddingBucket(LeasedBucket):
    """Takes a report for a difference, not for a total, when it comes again."""

    def report(self, report: Report, *, now_us: int) -> ReportAck:
        is_known = (report.edge, report.sequence) in self._leases
        answer = super().report(report, now_us=now_us)
        if not is_known:
            self.held -= report.spent + report.returned
            self._window.enter(report.spent)
        return answer


class ForgetfulBucket(LeasedBucket):
    """Goes by the store's clock, also when that is set back."""

    def _advance(self, now_us: int) -> None:
        self._now_us = now_us
        super()._advance(now_us)


class DoublyGranted:
    """Implements Source: the units of a grant that was taken for the second time."""

    def __init__(self, grant: Grant, stops_at_s: float) -> None:
        self.sequence = grant.sequence
        self.free = grant.units
        self.stops_at_s = stops_at_s

    def confirm(self, units: int) -> None: ...

    def put_back(self, units: int) -> None:
        self.free += units


class GullibleLedger(LeaseLedger):
    """Takes a grant as often as it comes."""

    def __init__(self, *, edge: str, links: Links[LeaseRequest], clock: Clock) -> None:
        super().__init__(edge=edge, links=links, clock=clock)
        self._clock = clock
        self._taken: set[int] = set()
        self._again: list[DoublyGranted] = []

    def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
        for grant in items:
            if isinstance(grant, Grant):
                if grant.sequence in self._taken:
                    stops_at_s = self._clock.boottime_s() + grant.valid_ms / 1000 / 2
                    self._again.append(DoublyGranted(grant, stops_at_s))
                self._taken.add(grant.sequence)
        super().received(link, items)

    def spend(self, holdings: Iterable[Holding], units: int = 1) -> list[Admitted]:
        now_s = self._clock.boottime_s()
        for source in self._again:
            if source.free >= units and now_s < source.stops_at_s:
                source.free -= units
                return [Admitted(source, units, 0, 0)]
        return super().spend(holdings, units)


class LateLedger(LeaseLedger):
    """Counts a lease's validity from the grant's arrival."""

    def __init__(self, *, edge: str, links: Links[LeaseRequest], clock: Clock) -> None:
        super().__init__(edge=edge, links=links, clock=clock)
        self._name = edge

    def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
        assert isinstance(link, SimulatedLink)

        def later_ms(grant: Grant) -> int:
            return grant.valid_ms + int(link.waited_s(self._name, grant.sequence) * 1000 / STOP_AT)

        super().received(link, _with_validity(items, later_ms))


class PatientLedger(LeaseLedger):
    """Spends a lease to the end of its validity."""

    def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
        super().received(link, _with_validity(items, lambda grant: int(grant.valid_ms / STOP_AT)))


class HopefulLedger(LeaseLedger):
    """Tells clients what would be left if no other edge had anything."""

    def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
        told = [
            msgspec.structs.replace(item, remaining=BUSY.limit) if isinstance(item, Grant) else item for item in items
        ]
        super().received(link, told)


class EstimatingWindow(SlidingWindow):
    """Two buckets: weighs the last window by how much of it still counts."""

    __slots__ = ("_current", "_index", "_last")

    def __init__(self, window_us: int) -> None:
        super().__init__(window_us)
        self._index = self._current = self._last = 0

    def advance(self, now_us: int) -> None:
        self._now_us = now_us
        index = now_us // self._window_us
        if index != self._index:
            self._last = self._current if index == self._index + 1 else 0
            self._current, self._index = 0, index
        left = 1 - now_us % self._window_us / self._window_us
        self.spent = self._current + int(self._last * left)

    def enter(self, units: int) -> None:
        self._current += units
        self.spent += units


def _with_validity(items: Sequence[LeaseAnswer], validity_ms: Callable[[Grant], int]) -> list[LeaseAnswer]:
    return [
        msgspec.structs.replace(item, valid_ms=validity_ms(item)) if isinstance(item, Grant) else item for item in items
    ]


def _buckets(open_bucket: Callable[[Bucket], LeasedBucket]) -> Parts:
    return Parts(store=lambda clock: MemoryLeaseStore(clock=clock, open_bucket=open_bucket))


def _estimating_bucket(bucket: Bucket) -> LeasedBucket:
    is_sliding = bucket.technique == "sliding"
    return LeasedBucket(bucket, EstimatingWindow(bucket.window_s * 1_000_000) if is_sliding else None)


def _busy(scenario: Scenario, troubles: Troubles) -> list[Scenario]:
    return [dataclasses.replace(scenario, seed=seed, troubles=troubles) for seed in SEEDS]


# Leases of several units, so that some are left over when something happens.
_PLENTY = dataclasses.replace(BUSY, limit=2000)
_RETURNS = dataclasses.replace(BUSY, limit=520, requests_per_s=250, is_ebbing=True)
_SHORT = dataclasses.replace(BUSY, window_s=1, limit=50)
_BURSTS = dataclasses.replace(BUSY, technique="sliding", window_s=2, limit=30, is_bursty=True)

BROKEN = {
    "credit on expiry": BrokenRule(_buckets(CreditingBucket), _busy(BUSY, Troubles(edge_crashes=2.0, lasts_s_max=0.3))),
    "a report applied twice": BrokenRule(
        _buckets(AddingBucket), _busy(_RETURNS, Troubles(weather=Weather(doubled=0.6), withdrawn=0.3))
    ),
    "a grant applied twice": BrokenRule(
        Parts(ledger=GullibleLedger), _busy(BUSY, Troubles(weather=Weather(doubled=0.5)))
    ),
    "validity counted from the grant's arrival": BrokenRule(
        Parts(ledger=LateLedger),
        _busy(
            _PLENTY,
            Troubles(weather=Weather(latency_s=(0.02, 0.08)), edge_freezes=3.0, lasts_s_min=0.5, lasts_s_max=1.5),
        ),
    ),
    "an estimate from two buckets": BrokenRule(_buckets(_estimating_bucket), _busy(_BURSTS, Troubles())),
    "a lease spent to the end of its validity": BrokenRule(
        Parts(ledger=PatientLedger),
        _busy(_PLENTY, Troubles(edge_clock_slew=0.08, edge_freezes=4.0, lasts_s_min=0.97, lasts_s_max=1.06)),
    ),
    "a remainder that leaves out other edges": BrokenRule(Parts(ledger=HopefulLedger), _busy(BUSY, Troubles())),
    "a bucket whose time goes back": BrokenRule(
        _buckets(ForgetfulBucket), _busy(_SHORT, Troubles(store_steps_back=1.0))
    ),
}
"""By what the rule forbids."""
