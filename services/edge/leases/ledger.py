"""
Ledger: the limits of this edge, spent from leases it holds. The edge's half of the protocol in docs/leases.md.

`spend` is the hot path: a few attribute reads for each limit, no look-up, no await, nothing sent. Only when a lease is
short does the ledger ask the limiter, in batches with whatever else leaves in the same turn of the loop, and only a
request that finds nothing waits. What was confirmed is booked by the next tick, all of a lease's as one change, and
reported with it, within 20 ms. One tick of 9 ms serves all buckets, and only while there is something to do; no task
and no timer belongs to a request.

An ask is repeated with its sequence until it is answered, and an answer counts only for the ask that is open: so
lost, doubled, late and reordered messages, and answers of other replicas, do nothing. Given up asks are closed with a
report, which the store remembers, so that their late copies get nothing.

Hazard: what is spent here was decided by the limiter earlier. A lease is checked against the boot clock each time,
because the process may have slept since.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from operator import attrgetter
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
from services.edge.leases.values import Admitted, Decision, Refused, Source, Unavailable, parts
from services.edge.leases.wheel import Wheel
from services.kit.clock import Clock
from services.kit.health import Dependencies, StoreBehind
from services.kit.rpc.link import Link, Links

TICK_S = 0.009
"""What changes is reported at the second tick from then, which must be within 20 ms (docs/leases.md)."""
WAIT_S_MAX = 5.0
STORE_DOWN_S = 1.0
"""What a limiter said of its store is old after this, and the next request waits to hear it."""
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
_SPENT = attrgetter("source", "units", "earlier")


class LeaseLedger:
    """
    All leases of one edge. A `Listener` of the conversation whose `links` it is given.

    `edge` names this instance and must never have been used before: leases of a former life are not this one's. The
    limiter's store is reported to `dependencies` as its answers tell it.
    """

    def __init__(
        self,
        *,
        edge: str,
        links: Links[LeaseRequest],
        clock: Clock,
        dependencies: Dependencies | None = None,
        holdings_max: int = HOLDINGS_MAX,
    ) -> None:
        self._edge = edge
        self._links = links
        self._boottime_s = clock.boottime_s
        self._wall_s = clock.wall_s
        self._holdings_max = holdings_max
        self._stale: list[Callable[[], None]] = []
        self._holdings: dict[Bucket, Holding] = {}
        self._confirmed: list[Admitted] = []
        self._reports = Reports()
        known = dependencies or Dependencies(clock=clock)
        self._store = StoreBehind(service="limiter", dependencies=known, clock=clock)
        self._asks = Asks(edge=edge, links=links, reports=self._reports)
        self._wheel = Wheel()
        self._edges = 1
        self._is_draining = False
        self._connects_until_s = self._boottime_s() + CONNECT_S_MAX
        self._sweeps_at_s = 0.0
        self._work = asyncio.Event()

    def __len__(self) -> int:
        return len(self._holdings)

    def subscribe(self, stale: Callable[[], None]) -> None:
        """
        Call this when holdings that were given out may not be spent from any more: there is a new snapshot, a limit has
        changed, or a bucket without a key was forgotten.
        """
        self._stale.append(stale)

    @property
    def has_work(self) -> bool:
        """`tick` is wanted."""
        return self._work.is_set()

    def holding(self, bucket: Bucket, limit: int) -> Holding | None:
        """
        What this edge has of the bucket under that limit: to be spent from at once or, of one without a key, until
        those who have subscribed are told.

        None when there are too many that cannot go.
        """
        holding = self._holdings.get(bucket)
        if holding is None:
            if len(self._holdings) >= self._holdings_max and not self._evict():
                return None
            holding = self._holdings[bucket] = Holding(bucket, limit, self._boottime_s())
        elif holding.limit != limit:
            self._change(holding, limit, self._boottime_s())
        return holding

    def spend(self, holdings: Iterable[Holding], units: int = 1) -> list[Admitted]:
        """Take of each, in their order, until one is short: that one may know a `refusal`, or `wait` for it."""
        now_s = self._boottime_s()
        spent: list[Admitted] = []
        for holding in holdings:
            lease = holding.lease
            if lease is None or now_s >= lease.stops_at_s:
                break
            free = lease.free - units
            if free < 0:
                break
            lease.free = free
            lease.used_at_s = now_s
            holding.demand += units
            spent.append(Admitted(lease, units, holding.remaining + free, holding.reset_at_s - now_s))
            if free <= lease.low_units:
                self._go_on(holding, now_s)
        return spent

    def refusal(self, holding: Holding, units: int = 1) -> Refused | None:
        """Of one that is short, if it is known already; None: the limiter must be asked, `wait` for it."""
        if units > holding.limit:
            window_s = holding.bucket.window_s
            return Refused(window_s * 1000, window_s)
        now_s = self._boottime_s()
        if now_s < holding.refused_until_s and not holding.waiters:
            holding.demand += units
            return holding.refusal(now_s)
        return None

    async def wait(self, holding: Holding | None, units: int = 1, *, traceparent: str = "") -> Decision:
        """
        Of one that is short: ask and wait, while the stream is alive, at most 5 s. Cancelling leaves no trace.

        What is known already is told at once; where others wait, nothing is.
        """
        if holding is None:
            return Unavailable("too many buckets wait for the limiter")
        now_s = self._boottime_s()
        if not holding.waiters or units > holding.limit:
            known = self.refusal(holding, units) or self._out_of_reach(holding, now_s)
            if known is not None:
                return known
        holding.demand += units
        decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        waiter = Waiter(holding, units, units, now_s + WAIT_S_MAX, traceparent, decision)
        holding.waiters.append(waiter)
        if holding.ask is None:
            self._ask(holding, now_s)
        try:
            return await decision
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def spend_degraded(self, bucket: Bucket, *, limit: int, units: int = 1) -> Admitted | Refused:
        """Decide alone, for `failMode: open`: an even share of the limit, less what this edge spent in this window."""
        wall_s = self._wall_s()
        holding = self.holding(bucket, limit)
        if holding is None:
            return Refused(1000, 1.0)
        taken = holding.lease.taken if holding.lease is not None else 0
        left = share(limit, self._edges) - holding.own.spent(wall_s) - taken
        frees_in_ms = holding.own.frees_in_ms(wall_s)
        if left < units:
            return Refused(frees_in_ms, frees_in_ms / 1000)
        holding.own.note(units, wall_s)
        return Admitted(holding.own, units, left - units, frees_in_ms / 1000)

    def confirm(self, *spent: Admitted) -> None:
        """The request's head is written, or the request has ended: the units are spent, and the next tick says so."""
        confirmed = self._confirmed
        if not confirmed:
            self._work.set()
        for admitted in spent:
            if admitted.is_open:
                admitted.is_open = False
                confirmed.append(admitted)

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
        self._book_confirmed()
        more, admitted.units = actual_units - admitted.units, max(actual_units, admitted.units)
        if more > 0:
            self._charge(admitted.source, more)

    def changed(self, limit_of: Callable[[Bucket], int | None]) -> None:
        """A new snapshot: leases of rules that changed go back. `limit_of` a bucket whose rule is gone is None."""
        now_s = self._boottime_s()
        self._tell_stale()
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
        """Everything that time brings; every 9 ms while `has_work`."""
        now_s = self._boottime_s()
        for lease in self._wheel.due(now_s):
            self._look_at(lease, now_s)
        self._book_confirmed()
        self._asks.repeat(now_s)
        self._send_reports(now_s)
        self._end_waiting(now_s)
        self._sweep(now_s)
        if not (self._wheel or self._asks or self._reports):
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
        self._book_confirmed()
        while self._reports and self._links.any() is not None and self._boottime_s() < began_s + DRAIN_S_MAX:
            self.tick()
            await asyncio.sleep(TICK_S)

    def opened(self, link: Link[LeaseRequest]) -> None:
        """A stream stands: say again what is open. Its limiter's store may be there."""
        now_s = self._connects_until_s = self._boottime_s()
        for holding in self._holdings.values():
            holding.store_down_until_s = 0.0
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

    def _withdraw(self, waiter: Waiter) -> None:
        holding = waiter.holding
        if waiter.decision.done() and not waiter.decision.cancelled():
            decision = waiter.decision.result()
            if isinstance(decision, Admitted):
                self.give_back(decision)
            return
        self._let_go(holding, waiter, self._boottime_s())

    def _let_go(self, holding: Holding, waiter: Waiter, now_s: float) -> None:
        """It waits no longer; those behind it may be served from what it had."""
        self._note_all(holding.withdraw(waiter))
        holding.serve(now_s)
        self._go_on(holding, now_s)

    def _take(self, holding: Holding, ask: OpenAsk, answer: LeaseAnswer, now_s: float) -> None:
        """The answer to the open ask."""
        match answer:
            case StoreDown():
                if not self._asks.store_down(holding, ask, now_s):
                    holding.store_down_until_s = now_s + STORE_DOWN_S
                    self._store.down()
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
        holding.store_down_until_s = 0.0
        if self._store.is_down:
            self._store.up()

    def _take_grant(self, holding: Holding, ask: OpenAsk, grant: Grant, now_s: float) -> None:
        self._end_lease(holding)
        lease = Lease.granted(grant, limit=holding.limit, asked_at_s=ask.first_at_s, now_s=now_s)
        holding.lease = lease
        holding.remaining = grant.remaining
        # Not before the lease stops: whoever spends of it is told a time to come, the same in whole seconds.
        holding.reset_at_s = max(now_s + grant.reset_ms / 1000, lease.stops_at_s)
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
        self._tell_stale()
        self._work.set()
        self._go_on(holding, now_s)

    def _close(self, admitted: Admitted, used_units: int) -> None:
        """Spend so many of the admitted units and put the others back."""
        admitted.is_open = False
        for source, units in parts(admitted.source, admitted.units, admitted.earlier):
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
        if isinstance(admitted_from, OwnSpending):
            admitted_from.note(units, self._wall_s())
        if not isinstance(admitted_from, Lease):
            return
        holding = self.holding(admitted_from.bucket, admitted_from.limit)
        if holding is None:
            return
        now_s = self._boottime_s()
        holding.debt += units
        holding.serve(now_s)
        if holding.lease is not None:
            self._note(holding.lease)
        self._go_on(holding, now_s)

    def _book_confirmed(self) -> None:
        """All confirmations since the last tick, as one change of each lease."""
        confirmed, self._confirmed = self._confirmed, []
        for (source, units, earlier), count in Counter(map(_SPENT, confirmed)).items():
            for part, part_units in parts(source, units, earlier):
                part.confirm(part_units * count)
                self._note(part)

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

    def _out_of_reach(self, holding: Holding, now_s: float) -> Unavailable | None:
        is_store_down = now_s < holding.store_down_until_s
        if is_store_down:
            self._ask(holding, now_s)
        is_unlinked = self._links.any() is None and now_s >= self._connects_until_s
        return Unavailable(_OUT_OF_REACH) if is_store_down or self._is_draining or is_unlinked else None

    def _give_up(self, reason: str) -> None:
        for holding in self._asks.holdings():
            self._note_all(holding.give_up(reason))

    def _end_waiting(self, now_s: float) -> None:
        """
        Nobody waits for a limiter that is not there, nor too long for one that is.

        Who waits does so for an open ask, and the first in a line has waited longest.
        """
        if not self._asks:
            return
        if self._links.any() is None and now_s >= self._connects_until_s:
            self._give_up(_OUT_OF_REACH)
        for holding in self._asks.holdings():
            while holding.waiters and now_s >= holding.waiters[0].gives_up_at_s:
                waiter = holding.waiters[0]
                self._let_go(holding, waiter, now_s)
                waiter.decide(Unavailable("the limiter did not answer in time"))

    def _evict(self) -> bool:
        for holding in islice(self._holdings.values(), EVICTED_FROM):
            if holding.ask is None:
                self._end_lease(holding)
                self._forget(holding)
                return True
        return False

    def _sweep(self, now_s: float) -> None:
        """Forget idle buckets, some at a time; those that stay go to the end of the line."""
        if now_s < self._sweeps_at_s:
            return
        self._sweeps_at_s = now_s + SWEEP_EVERY_S
        wall_s = self._wall_s()
        for holding in list(islice(self._holdings.values(), SWEPT_MAX)):
            if holding.is_idle(now_s, wall_s):
                self._forget(holding)
            else:
                del self._holdings[holding.bucket]
                self._holdings[holding.bucket] = holding

    def _forget(self, holding: Holding) -> None:
        del self._holdings[holding.bucket]
        if not holding.bucket.key_values:
            self._tell_stale()

    def _tell_stale(self) -> None:
        for stale in self._stale:
            stale()
