"""
Ledger: the limits of this edge, spent from leases it holds. The edge's half of the protocol in docs/leases.md.

`spend` is the hot path: a few attribute reads, no await, nothing sent. Only when a lease is short does the ledger ask
the limiter, in batches with whatever else leaves in the same turn of the loop, and only a request that finds nothing
waits. Reports follow within 20 ms. One tick of 10 ms serves all buckets, and only while there is something to do;
no task and no timer belongs to a request.

An ask is repeated with its sequence until it is answered, and an answer counts only for the ask that is open: so
lost, doubled, late and reordered messages, and answers of other replicas, do nothing. Given up asks are closed with a
report, which the store remembers, so that their late copies get nothing.

Hazard: what is spent here was decided by the limiter earlier. A lease is checked against the boot clock each time,
because the process may have slept since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import assert_never

from services.contracts.limiter.conversation import lease_key
from services.contracts.limiter.values import (
    Bucket,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    ReportAck,
    StoreDown,
)
from services.edge.leases.allowance import OwnSpending, share
from services.edge.leases.asks import Asks
from services.edge.leases.holding import Holding, OpenAsk, Waiter
from services.edge.leases.lease import UNUSED_S, Lease
from services.edge.leases.reports import Reports
from services.edge.leases.values import Admitted, Refused, Source, Unavailable
from services.edge.leases.wheel import Wheel
from services.kit.clock import Clock
from services.kit.rpc.link import Link, Links

TICK_S = 0.01
WAIT_S_MAX = 5.0
CONNECT_S_MAX = 1.0
"""Requests wait this long after the start for the first stream to the limiter, instead of finding it out of reach."""
DRAIN_S_MAX = 1.0
HOLDINGS_MAX = 16_384
SWEEP_EVERY_S = 1.0
SWEPT_MAX = 512
"""Buckets looked at in one sweep."""
EVICTED_FROM = 64
"""A new bucket beyond the bound takes the place of one of so many of the oldest."""

_OUT_OF_REACH = "the limiter is out of reach"


class LeaseLedger:
    """
    All leases of one edge. A `Listener` of the conversation whose `links` it is given.

    `edge` names this instance and must never have been used before: leases of a former life are not this one's.
    """

    def __init__(
        self, *, edge: str, links: Links[LeaseRequest], clock: Clock, holdings_max: int = HOLDINGS_MAX
    ) -> None:
        self._edge = edge
        self._links = links
        self._boottime_s = clock.boottime_s
        self._wall_s = clock.wall_s
        self._holdings_max = holdings_max
        self._holdings: dict[Bucket, Holding] = {}
        self._waiting: dict[Waiter, Holding] = {}
        self._reports = Reports()
        self._asks = Asks(edge=edge, links=links, reports=self._reports)
        self._wheel = Wheel()
        self._edges = 1
        self._is_draining = False
        self._connects_until_s = self._boottime_s() + CONNECT_S_MAX
        self._sweeps_at_s = 0.0
        self._work = asyncio.Event()

    def __len__(self) -> int:
        return len(self._holdings)

    @property
    def has_work(self) -> bool:
        """`tick` is wanted."""
        return self._work.is_set()

    def spend(self, bucket: Bucket, *, limit: int, units: int = 1) -> Admitted | Refused | None:
        """Decide from memory; None: the limiter must be asked, `wait` for it."""
        holding = self._holdings.get(bucket)
        if holding is None:
            return None
        now_s = self._boottime_s()
        holding.demand += units
        lease = holding.lease
        if (
            lease is None
            or lease.free < units
            or now_s >= lease.stops_at_s
            or holding.waiters
            or limit != holding.limit
        ):
            return self._spend_short(holding, limit, units, now_s)
        lease.free -= units
        lease.pending += units
        lease.used_at_s = now_s
        if lease.free <= lease.low_units:
            self._go_on(holding, now_s)
        left_s = holding.reset_at_s - now_s
        return Admitted(lease, units, holding.remaining + lease.free, int(left_s * 1000) if left_s > 0 else 0)

    async def wait(
        self, bucket: Bucket, *, limit: int, units: int = 1, traceparent: str = ""
    ) -> Admitted | Refused | Unavailable:
        """After `spend` said None: ask and wait, while the stream is alive, at most 5 s. Cancelling leaves no trace."""
        now_s = self._boottime_s()
        is_new = bucket not in self._holdings
        holding = self._holding(bucket, limit, now_s)
        if holding is None:
            return Unavailable("too many buckets wait for the limiter")
        decision = self.spend(bucket, limit=limit, units=units)
        if decision is not None:
            return decision
        if not is_new:
            holding.demand -= units  # counted when `spend` was asked before
        if self._is_out_of_reach(holding, now_s):
            if holding.is_store_down:
                self._ask(holding, now_s)
            return Unavailable(_OUT_OF_REACH)
        return await self._wait(holding, Waiter(units, gives_up_at_s=now_s + WAIT_S_MAX, traceparent=traceparent))

    def spend_degraded(self, bucket: Bucket, *, limit: int, units: int = 1) -> Admitted | Refused:
        """Decide alone, for `failMode: open`: an even share of the limit, less what this edge spent in this window."""
        wall_s = self._wall_s()
        holding = self._holding(bucket, limit, self._boottime_s())
        if holding is None:
            return Refused(1000, 1000)
        taken = holding.lease.taken if holding.lease is not None else 0
        left = share(limit, self._edges) - holding.own.spent(wall_s) - taken
        frees_in_ms = holding.own.frees_in_ms(wall_s)
        if left < units:
            return Refused(frees_in_ms, frees_in_ms)
        holding.own.note(units, wall_s)
        return Admitted(holding.own, units, left - units, frees_in_ms)

    def confirm(self, admitted: Admitted) -> None:
        """The request's head is written, or the request has ended: the units are spent, and may be reported so."""
        if not admitted.is_open:
            return
        admitted.is_open = False
        if admitted.earlier:
            for source, units in admitted.parts():
                source.confirm(units)
                self._note(source)
        else:
            admitted.source.confirm(admitted.units)
            self._note(admitted.source)

    def give_back(self, admitted: Admitted) -> None:
        """The request was not made: another limit refused it, or its client went away."""
        if admitted.is_open:
            self._close(admitted, 0)

    def settle(self, admitted: Admitted, actual_units: int) -> None:
        """
        What the request really used, instead of what it was admitted for.

        Less: the rest goes back to its lease while that lives. More: it is charged to the bucket, from this edge's
        lease as far as that goes and else with the next one. After a `confirm` only more has an effect.
        """
        if admitted.is_open:
            self._close(admitted, min(actual_units, admitted.units))
        more, admitted.units = actual_units - admitted.units, max(actual_units, admitted.units)
        if more > 0:
            self._charge(admitted.source, more)

    def changed(self, limit_of: Callable[[Bucket], int | None]) -> None:
        """A new snapshot: leases of rules that changed go back. `limit_of` a bucket whose rule is gone is None."""
        now_s = self._boottime_s()
        for holding in self._holdings.values():
            limit = limit_of(holding.bucket)
            if limit != holding.limit:
                self._change(holding, holding.limit if limit is None else limit, now_s)

    async def run(self) -> None:
        """Tick while there is something to do, for as long as the caller's task lives."""
        while True:
            await self._work.wait()
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Everything that time brings; every 10 ms while `has_work`."""
        now_s = self._boottime_s()
        for lease in self._wheel.due(now_s):
            self._look_at(lease, now_s)
        self._asks.repeat(now_s)
        self._send_reports(now_s)
        self._end_waiting(now_s)
        self._sweep(now_s)
        if not (self._wheel or self._asks or self._reports or self._waiting):
            self._work.clear()

    async def drain(self) -> None:
        """Give everything back and wait for the limiter to know, at most a second. Nothing is asked afterwards."""
        self._is_draining = True
        self._asks.end()
        began_s = self._boottime_s()
        for holding in self._holdings.values():
            self._end_lease(holding)
            self._asks.abandon(holding, began_s)
            self._note_all(holding.give_up("this edge is stopping"))
        while self._reports and self._links.any() is not None and self._boottime_s() < began_s + DRAIN_S_MAX:
            self.tick()
            await asyncio.sleep(TICK_S)

    def opened(self, link: Link[LeaseRequest]) -> None:
        """A stream stands: say again what is open. Its limiter's store may be there."""
        now_s = self._connects_until_s = self._boottime_s()
        for holding in self._holdings.values():
            holding.is_store_down = False
        self._asks.opened(now_s)

    def received(self, link: Link[LeaseRequest], items: Sequence[LeaseAnswer]) -> None:
        """Answers. One that is not for the open ask of its bucket does nothing."""
        now_s = self._boottime_s()
        for answer in items:
            if isinstance(answer, ReportAck):
                self._reports.acknowledge(answer)
                continue
            holding = self._holdings.get(answer.bucket)
            if holding is not None and holding.ask is not None and holding.ask.sequence == answer.sequence:
                self._take(holding, holding.ask, answer, now_s)
            elif isinstance(answer, StoreDown):
                self._reports.pause(now_s)

    def expired(self, link: Link[LeaseRequest], keys: Sequence[Hashable]) -> None:
        """Asks have no deadline of their own."""

    def lost(self, link: Link[LeaseRequest], keys: Sequence[Hashable]) -> None:
        """A stream is gone: ask elsewhere, or nobody waits any longer."""
        self._asks.lost(set(keys), self._boottime_s())
        if self._links.any() is None:
            self._give_up(_OUT_OF_REACH)

    def _spend_short(self, holding: Holding, limit: int, units: int, now_s: float) -> Refused | None:
        if limit != holding.limit:
            self._change(holding, limit, now_s)
            return None
        if units > limit:
            window_ms = holding.bucket.window_s * 1000
            return Refused(window_ms, window_ms)
        if now_s < holding.refused_until_s and not holding.waiters:
            return holding.refusal(now_s)
        return None

    async def _wait(self, holding: Holding, waiter: Waiter) -> Admitted | Refused | Unavailable:
        holding.waiters.append(waiter)
        self._waiting[waiter] = holding
        self._ask(holding, self._boottime_s())
        try:
            return await waiter.decision
        except asyncio.CancelledError:
            self._withdraw(holding, waiter)
            raise
        finally:
            del self._waiting[waiter]

    def _withdraw(self, holding: Holding, waiter: Waiter) -> None:
        if waiter.decision.done() and not waiter.decision.cancelled():
            decision = waiter.decision.result()
            if isinstance(decision, Admitted):
                self.give_back(decision)
            return
        self._note_all(holding.withdraw(waiter))
        holding.serve(self._boottime_s())
        self._go_on(holding, self._boottime_s())

    def _take(self, holding: Holding, ask: OpenAsk, answer: LeaseAnswer, now_s: float) -> None:
        """The answer to the open ask."""
        match answer:
            case StoreDown():
                if not self._asks.store_down(holding, ask, now_s):
                    holding.is_store_down = True
                    self._note_all(holding.give_up("the limiter's store is out of reach"))
                return
            case Grant():
                self._asks.answered(holding)
                self._take_grant(holding, ask, answer, now_s)
            case Refusal():
                self._asks.answered(holding)
                self._take_refusal(holding, answer, now_s)
            case Closed():
                self._asks.answered(holding)
                self._go_on(holding, now_s)
            case ReportAck():
                return
            case _:
                assert_never(answer)
        holding.is_store_down = False

    def _take_grant(self, holding: Holding, ask: OpenAsk, grant: Grant, now_s: float) -> None:
        self._end_lease(holding)
        lease = Lease.granted(grant, limit=holding.limit, asked_at_s=ask.first_at_s, now_s=now_s)
        holding.lease = lease
        holding.remaining = grant.remaining
        holding.reset_at_s = now_s + grant.reset_ms / 1000
        self._edges = grant.edges
        if now_s >= lease.stops_at_s:
            self._end_lease(holding)
        else:
            self._wheel.put(lease, lease.looks_at_s)
            holding.serve(now_s)
        self._go_on(holding, now_s)

    def _take_refusal(self, holding: Holding, refusal: Refusal, now_s: float) -> None:
        self._edges = refusal.edges
        holding.remaining = 0
        holding.reset_at_s = now_s + refusal.reset_ms / 1000
        holding.refused_until_s = now_s + refusal.retry_after_ms / 1000
        self._note_all(holding.refuse(now_s))
        if holding.lease is not None and not holding.lease.free:
            self._end_lease(holding)

    def _go_on(self, holding: Holding, now_s: float) -> None:
        """After units were taken: ask for those who wait, or ahead of need while the limit has plenty."""
        lease = holding.lease
        if holding.waiters or holding.debt:
            self._ask(holding, now_s)
        elif lease is not None:
            if lease.free <= lease.low_units and holding.ask is None:
                self._ask_ahead(holding, lease, now_s)
            if not lease.free:
                self._end_lease(holding)

    def _ask(self, holding: Holding, now_s: float) -> None:
        self._asks.open(holding, now_s)
        self._work.set()

    def _ask_ahead(self, holding: Holding, lease: Lease, now_s: float) -> None:
        """Before the lease is used up, so that nobody waits; near the limit's end units would lie idle for it."""
        if lease.is_plentiful and now_s >= holding.refused_until_s and holding.ahead(now_s, 0):
            self._ask(holding, now_s)

    def _look_at(self, lease: Lease, now_s: float) -> None:
        holding = self._holdings.get(lease.bucket)
        if holding is None or holding.lease is not lease:
            return
        if now_s >= lease.give_back_at_s:
            self._end_lease(holding)
            self._ask_ahead(holding, lease, now_s)
        elif now_s >= lease.used_at_s + UNUSED_S:
            self._end_lease(holding)
        else:
            self._wheel.put(lease, lease.looks_at_s)

    def _end_lease(self, holding: Holding) -> None:
        lease = holding.lease
        if lease is not None:
            holding.lease = None
            lease.end()
            holding.own.note(lease.taken, self._wall_s())
            self._note(lease)

    def _change(self, holding: Holding, limit: int, now_s: float) -> None:
        """The rule is another now."""
        self._end_lease(holding)
        self._asks.abandon(holding, now_s)
        holding.limit = limit
        holding.refused_until_s = 0.0
        self._work.set()
        self._go_on(holding, now_s)

    def _close(self, admitted: Admitted, used_units: int) -> None:
        """Spend so many of the admitted units and put the others back."""
        admitted.is_open = False
        for source, units in admitted.parts():
            used = min(units, used_units)
            used_units -= used
            source.confirm(used)
            source.put_back(units - used)
            self._note(source)
            if isinstance(source, Lease):
                self._put_back(source, units - used)

    def _put_back(self, lease: Lease, units: int) -> None:
        holding = self._holdings.get(lease.bucket)
        if holding is None or not units:
            return
        if holding.lease is not lease:
            holding.own.put_back(units)
        elif holding.waiters:
            now_s = self._boottime_s()
            holding.serve(now_s)
            self._go_on(holding, now_s)

    def _charge(self, admitted_from: Source, units: int) -> None:
        now_s = self._boottime_s()
        if isinstance(admitted_from, OwnSpending):
            admitted_from.note(units, self._wall_s())
        if not isinstance(admitted_from, Lease):
            return
        holding = self._holding(admitted_from.bucket, admitted_from.limit, now_s)
        if holding is None:
            return
        holding.debt += units
        holding.serve(now_s)
        if holding.lease is not None:
            self._note(holding.lease)
        self._go_on(holding, now_s)

    def _note(self, source: Source) -> None:
        if isinstance(source, Lease) and not source.is_noted:
            self._reports.note(source)
            self._work.set()

    def _note_all(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._note(lease)

    def _send_reports(self, now_s: float) -> None:
        link = self._links.any()
        for lease in self._reports.due(now_s):
            if link is not None:
                report = lease.report(self._edge)
                link.send(report, key=lease_key(report))

    def _is_out_of_reach(self, holding: Holding, now_s: float) -> bool:
        if holding.is_store_down or self._is_draining:
            return True
        return self._links.any() is None and now_s >= self._connects_until_s

    def _give_up(self, reason: str) -> None:
        for holding in self._asks.holdings():
            self._note_all(holding.give_up(reason))

    def _end_waiting(self, now_s: float) -> None:
        """Nobody waits for a limiter that is not there, nor too long for one that is."""
        if not self._waiting:
            return
        if self._links.any() is None and now_s >= self._connects_until_s:
            self._give_up(_OUT_OF_REACH)
        for waiter, holding in self._waiting.items():
            if now_s < waiter.gives_up_at_s:
                return
            if waiter.decision.done():
                continue
            self._note_all(holding.withdraw(waiter))
            waiter.decide(Unavailable("the limiter did not answer in time"))

    def _holding(self, bucket: Bucket, limit: int, now_s: float) -> Holding | None:
        """The bucket's, a new one if need be; None when there are too many that cannot go."""
        holding = self._holdings.get(bucket)
        if holding is None:
            if len(self._holdings) >= self._holdings_max and not self._evict():
                return None
            holding = self._holdings[bucket] = Holding(bucket, limit, now_s)
        elif holding.limit != limit:
            self._change(holding, limit, now_s)
        return holding

    def _evict(self) -> bool:
        for holding in islice(self._holdings.values(), EVICTED_FROM):
            if holding.ask is None:
                self._end_lease(holding)
                del self._holdings[holding.bucket]
                return True
        return False

    def _sweep(self, now_s: float) -> None:
        """Forget idle buckets, some at a time; those that stay go to the end of the line."""
        if now_s < self._sweeps_at_s:
            return
        self._sweeps_at_s = now_s + SWEEP_EVERY_S
        wall_s = self._wall_s()
        for holding in list(islice(self._holdings.values(), SWEPT_MAX)):
            del self._holdings[holding.bucket]
            if not holding.is_idle(now_s, wall_s):
                self._holdings[holding.bucket] = holding
