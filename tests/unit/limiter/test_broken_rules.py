"""Rules broken on purpose: the simulation notices each, so it would notice if the code broke them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence

from services.contracts.limiter.values import Bucket, Grant, LeaseAnswer, LeaseRequest, Report, ReportAck
from services.edge.leases.holding import Holding, OpenAsk
from services.edge.leases.ledger import LeaseLedger
from services.kit.rpc.link import Link
from services.limiter.bucket import LeasedBucket, LeaseId
from services.limiter.memory import MemoryLeaseStore
from services.limiter.window import SlidingWindow
from tests.simulation.leases import Parts, Scenario, Troubles, simulate
from tests.simulation.network import Weather

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


def is_caught(parts: Parts, scenarios: Iterable[Scenario]) -> bool:
    return any(asyncio.run(simulate(scenario, parts)).violations for scenario in scenarios)


def with_troubles(troubles: Troubles, **changes: object) -> list[Scenario]:
    return [dataclasses.replace(BUSY, seed=seed, troubles=troubles, **changes) for seed in range(12)]  # type: ignore[arg-type]  # fields by name


def store_of(open_bucket: Callable[[Bucket], LeasedBucket]) -> Parts:
    return Parts(store=lambda clock: MemoryLeaseStore(clock=clock, open_bucket=open_bucket))


def test_credit_on_expiry_is_caught() -> None:
    class Crediting(LeasedBucket):
        def _expire(self, lease_id: LeaseId) -> None:
            self.held -= self._leases[lease_id].held
            self._close(*lease_id)

    crashes = with_troubles(Troubles(edge_crashes=2.0, lasts_s_max=0.3))

    assert is_caught(store_of(Crediting), crashes)
    assert not is_caught(Parts(), crashes)


def test_a_report_applied_twice_is_caught() -> None:
    class Adding(LeasedBucket):
        def report(self, report: Report, *, now_us: int) -> ReportAck:
            is_known = (report.edge, report.sequence) in self._leases
            answer = super().report(report, now_us=now_us)
            if not is_known:
                self.held -= report.spent + report.returned
                self._window.enter(report.spent)
            return answer

    doubled = with_troubles(Troubles(weather=Weather(doubled=0.3)))

    assert is_caught(store_of(Adding), doubled)
    assert not is_caught(Parts(), doubled)


def test_a_grant_applied_twice_is_caught() -> None:
    class Gullible(LeaseLedger):
        def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
            for answer in items:
                holding = self._holdings.get(answer.bucket)
                if isinstance(answer, Grant) and holding is not None and holding.ask is None:
                    holding.ask = OpenAsk(answer.sequence, self._boottime_s())
            super().received(link, items)

    doubled = with_troubles(Troubles(weather=Weather(doubled=0.5)))

    assert is_caught(Parts(ledger=Gullible), doubled)
    assert not is_caught(Parts(), doubled)


def test_validity_counted_from_the_grants_arrival_is_caught() -> None:
    class Late(LeaseLedger):
        def _take_grant(self, holding: Holding, ask: OpenAsk, grant: Grant, now_s: float) -> None:
            ask.first_at_s = now_s
            super()._take_grant(holding, ask, grant, now_s)

    frozen = with_troubles(Troubles(edge_freezes=1.0))

    assert is_caught(Parts(ledger=Late), frozen)
    assert not is_caught(Parts(), frozen)


def test_a_lease_spent_to_the_end_of_its_validity_is_caught() -> None:
    class Patient(LeaseLedger):
        def _take_grant(self, holding: Holding, ask: OpenAsk, grant: Grant, now_s: float) -> None:
            super()._take_grant(holding, ask, grant, now_s)
            if holding.lease is not None:
                holding.lease.stops_at_s = holding.lease.give_back_at_s = ask.first_at_s + grant.valid_ms / 1000

    slewed = with_troubles(Troubles(edge_clock_slew=0.08, edge_freezes=3.0, lasts_s_min=0.9, lasts_s_max=1.1))

    assert is_caught(Parts(ledger=Patient), slewed)
    assert not is_caught(Parts(), slewed)


def test_an_estimate_from_two_buckets_is_caught() -> None:
    class Estimating(SlidingWindow):
        """Weighs the last window by how much of it still counts."""

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

    def open_bucket(bucket: Bucket) -> LeasedBucket:
        return LeasedBucket(bucket, Estimating(bucket.window_s * 1_000_000))

    bursts = [
        dataclasses.replace(BUSY, seed=seed, technique="sliding", window_s=2, limit=30, is_bursty=True)
        for seed in range(12)
    ]

    assert is_caught(store_of(open_bucket), bursts)
    assert not is_caught(Parts(), bursts)
