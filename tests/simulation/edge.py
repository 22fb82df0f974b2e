"""
Edge: a simulated machine around the real ledger, its links, and requests that come and go.

It knows the ledger by its public face only (`holding`, `spend`, `refusal`, `wait`, `confirm`, `give_back`, `tick`,
and what a listener of links is told), so a ledger may be rebuilt inside and is held to the same promises.

Checked at every admission: the store's lease has not expired, and its client is told of no more than is left.
Hazard: a frozen process goes on with whatever comes first, a tick or a request, and nobody knows which; so the
simulation plays both.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from services.contracts.limiter.values import Bucket, Grant, LeaseAnswer
from services.edge.leases.holding import Holding
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted, Refused, Source, Unavailable, parts
from tests.simulation.account import Account, Admission, LeaseId
from tests.simulation.limiter import SimulatedLimiter
from tests.simulation.network import SimulatedLink, SimulatedLinks
from tests.simulation.scenario import Scenario
from tests.simulation.store import SharedStore
from tests.simulation.world import World, WorldClock

HEAD_S_MEAN = 0.003
"""From admission until the request's head is written."""
HEAD_S_MAX = 2.0
"""For a slow one."""
PATIENCE_S_MAX = 0.03
"""Of a client that goes away while it waits."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an edge stands in."""

    scenario: Scenario
    world: World
    bucket: Bucket
    store: SharedStore
    limiters: Sequence[SimulatedLimiter]
    account: Account
    open_ledger: type[LeaseLedger]


class LeaseSource(Source, Protocol):
    """What units come from that were leased."""

    sequence: int


class SimulatedEdge:
    """One edge. After a crash a new instance, with a new name, takes its place."""

    def __init__(self, number: int, surroundings: Surroundings) -> None:
        self.number = number
        self.spends = 0
        """Admissions from leases, of all its lives."""
        self._in = surroundings
        self._world = surroundings.world
        self._life = 0
        self._backlog: deque[Callable[[], None]] | None = None
        self._is_ticking = False
        self._waiting: set[asyncio.Task[None]] = set()
        self._taken: Counter[LeaseId] = Counter()
        self.start()

    def start(self) -> None:
        """A new process."""
        self._life += 1
        self._backlog = None
        self._is_ticking = False
        self._taken.clear()
        slew = self._in.scenario.troubles.edge_clock_slew
        self.clock = WorldClock(self._world, rate=self._world.random.uniform(1 - slew, 1 + slew))
        self.name = f"edge-{self.number}-{self._life}"
        self.links = self._open_links()
        self.ledger = self._in.open_ledger(edge=self.name, links=SimulatedLinks(self.links), clock=self.clock)
        for link, limiter in zip(self.links, self._in.limiters, strict=True):
            link.listener = self.ledger
            link.is_up = not limiter.is_dead
            self.ledger.opened(link)

    def _open_links(self) -> list[SimulatedLink]:
        life = self._life
        asked_s: dict[LeaseId, float] = {}
        return [
            SimulatedLink(
                str(number),
                world=self._world,
                weather=self._in.scenario.troubles.weather,
                sights=self._in.account.sights,
                arrive=limiter.arrive,
                perform=lambda event: self.perform(event, life),
                watch=self._watch_answers,
                asked_s=asked_s,
            )
            for number, limiter in enumerate(self._in.limiters)
        ]

    def perform(self, event: Callable[[], None], life: int | None = None) -> None:
        """Something happens in this process: now, when it runs again, or never if it is another by then."""
        if life is not None and life != self._life:
            return
        if self._backlog is not None:
            self._backlog.append(event)
            return
        event()
        self._keep_ticking()

    def crash(self, away_s: float) -> None:
        """Everything in memory is gone."""
        reported = self._in.store.spent
        if any(units > reported.get(lease, 0) for lease, units in self._taken.items()):
            self._in.account.sights["crash with unreported spends"] += 1
        self._life += 1
        for link in self.links:
            link.die()
        for task in self._waiting:
            task.cancel()
        self._backlog = deque()
        self._world.after(away_s, self.start)

    def freeze(self, lasts_s: float) -> None:
        """Stop running; go on later."""
        if self._backlog is None:
            self._backlog = deque()
            life = self._life
            self._world.after(lasts_s, lambda: self._thaw(life))

    def request(self) -> None:
        """A client wants something."""
        units_max = self._in.scenario.units_max
        units = self._world.random.randint(1, units_max) if units_max > 1 else 1
        life = self._life
        self.perform(lambda: self._decide(life, units), life)

    def stop(self) -> None:
        """The play is over."""
        for task in self._waiting:
            task.cancel()

    def _decide(self, life: int, units: int) -> None:
        holding = self._holding()
        spent = self.ledger.spend((holding,), units)
        decision = spent[0] if spent else self.ledger.refusal(holding, units)
        if decision is not None:
            self._decided(decision, life)
            if isinstance(decision, Admitted):
                self._check_remainder(decision)
            return
        task = self._world.turns.create_task(self._wait(life, units))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        if self._happens(self._in.scenario.troubles.withdrawn):
            self._world.after(self._world.random.uniform(0, PATIENCE_S_MAX), lambda: self._leave(task, life))

    async def _wait(self, life: int, units: int) -> None:
        decision = await self.ledger.wait(self._holding(), units)
        if life == self._life:
            self._decided(decision, life)

    def _holding(self) -> Holding:
        holding = self.ledger.holding(self._in.bucket, self._in.scenario.limit)
        assert holding is not None
        return holding

    def _leave(self, task: asyncio.Task[None], life: int) -> None:
        if not task.done():
            self._in.account.sights["client left while it waited"] += 1
            self.perform(lambda: _cancel(task), life)

    def _decided(self, decision: Admitted | Refused | Unavailable, life: int) -> None:
        account = self._in.account
        if isinstance(decision, Refused):
            account.refused += 1
        elif isinstance(decision, Unavailable):
            account.unavailable += 1
        else:
            self.spends += 1
            admissions = [self._admission(source.sequence, units) for source, units in _leases(decision)]
            account.admissions += admissions
            self._go_on(decision, admissions, life)

    def _go_on(self, admitted: Admitted, admissions: Sequence[Admission], life: int) -> None:
        """Write the request's head, or come to know that the request is not made."""
        troubles = self._in.scenario.troubles
        if self._happens(troubles.slow_heads):
            written_s = self._world.random.uniform(0, HEAD_S_MAX)
        else:
            written_s = self._world.random.expovariate(1 / HEAD_S_MEAN)
        if self._happens(troubles.withdrawn):
            self._world.after(written_s, lambda: self.perform(lambda: self._withdraw(admitted, admissions), life))
        else:
            self._world.after(written_s, lambda: self.perform(lambda: self.ledger.confirm(admitted), life))

    def _withdraw(self, admitted: Admitted, admissions: Sequence[Admission]) -> None:
        self._in.account.sights["request not made after all"] += 1
        self.ledger.give_back(admitted)
        for admission in admissions:
            admission.counts = False
            self._taken[admission.lease] -= admission.units

    def _admission(self, sequence: int, units: int) -> Admission:
        """Units of one lease, which must not have expired, unless the store lost it or set its clock forward."""
        lease, store, account = (self.name, sequence), self._in.store, self._in.account
        self._taken[lease] += units
        if lease in account.lost:
            return Admission(store.now_us(), lease, units, counts=False)
        late_us = store.late_us(lease)
        is_late = late_us >= 0
        if is_late and not store.was_stepped_over(lease):
            account.violations.append(f"{self.name} spent {late_us} us after the store's expiry")
        return Admission(store.now_us(), lease, units, counts=not (is_late and store.was_stepped_over(lease)))

    def _check_remainder(self, admitted: Admitted) -> None:
        """What a client is told that need not wait: never more than was true at the grant, and the lease still has."""
        store, (source, _) = self._in.store, _leases(admitted)[-1]
        lease = self.name, source.sequence
        true_most = store.left[lease] + store.granted[lease] - self._taken[lease]
        if admitted.remaining > true_most:
            self._in.account.violations.append(f"told of {admitted.remaining} left when there were {true_most}")

    def _watch_answers(self, answers: Sequence[LeaseAnswer]) -> None:
        store = self._in.store
        for answer in answers:
            if isinstance(answer, Grant) and store.late_us((self.name, answer.sequence)) >= 0:
                self._in.account.sights["grant that arrived after its expiry"] += 1

    def _happens(self, share: float) -> bool:
        return bool(share) and self._world.random.random() < share

    def _thaw(self, life: int) -> None:
        if life != self._life:
            return
        backlog, self._backlog = self._backlog or deque(), None
        if self._world.random.random() < 0.5:
            self.ledger.tick()
        for event in backlog:
            event()
        self._keep_ticking()

    def _keep_ticking(self) -> None:
        if not self._is_ticking and self.ledger.has_work:
            self._is_ticking = True
            life = self._life
            self._world.after(self._in.scenario.tick_s, lambda: self._tick(life))

    def _tick(self, life: int) -> None:
        if life != self._life:
            return
        self._is_ticking = False
        if self._backlog is None:
            self.ledger.tick()
            self._keep_ticking()


def _leases(admitted: Admitted) -> list[tuple[LeaseSource, int]]:
    """Nobody spends on his own here, so all units are leased."""
    return [
        (cast(LeaseSource, source), units) for source, units in parts(admitted.source, admitted.units, admitted.earlier)
    ]


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
