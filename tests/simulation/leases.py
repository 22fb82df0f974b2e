"""
Leases, simulated: the real ledger of every edge, the real service of every limiter, one shared store.

A `Scenario` says what is limited, who asks and what goes wrong; `simulate` plays it and returns an `Account`
of what was admitted and which promises were broken (none, if the code is right):

    assert simulate(scenario_of(seed)).violations == []

Checked at every decision: held + spent never above the limit (store.py). At every spend: the store's lease has
not expired, and its client is told of no more than is left (edge.py). At the end: no window, wherever it begins for
sliding ones, admitted more than the limit (account.py).
`Account.share_of_central` compares with one exact limiter without any network.

To break a rule on purpose pass other `Parts`: a changed ledger, or a store whose buckets are changed (broken.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.contracts.limiter.values import Bucket
from services.edge.leases.ledger import LeaseLedger
from services.limiter.memory import MemoryLeaseStore
from services.limiter.window import LEASE_VALID_MS
from tests.simulation.account import Account
from tests.simulation.edge import SimulatedEdge, Surroundings
from tests.simulation.limiter import SimulatedLimiter
from tests.simulation.scenario import Scenario
from tests.simulation.store import Absence, Kept, OpenStore, SharedStore
from tests.simulation.world import World, WorldClock

ABSENCES: tuple[Absence, ...] = ("refused", "mute")
KEPT: tuple[Kept, ...] = ("everything", "all but its last second", "nothing")
DIRECTIONS = ("there", "back", "both")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the simulation is made of; tests of the tests replace some."""

    ledger: type[LeaseLedger] = LeaseLedger
    store: OpenStore = lambda clock: MemoryLeaseStore(clock=clock)


REAL_PARTS = Parts()


def simulate(scenario: Scenario, parts: Parts = REAL_PARTS) -> Account:
    """Play a scenario to its end."""
    return Play(scenario, parts).run()


class Play:
    """One scenario while it is played."""

    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self.scenario = scenario
        self.world = World(scenario.seed)
        self.account = Account(scenario)
        slew = scenario.troubles.store_clock_slew
        clock = WorldClock(self.world, rate=self.world.random.uniform(1 - slew, 1 + slew))
        bucket = Bucket("local", "main", "calls", scenario.technique, scenario.window_s)
        self.store = SharedStore(
            bucket=bucket, limit=scenario.limit, clock=clock, account=self.account, open_store=parts.store
        )
        self.limiters = [SimulatedLimiter(self.world, self.store) for _ in range(scenario.limiters)]
        surroundings = Surroundings(scenario, self.world, bucket, self.store, self.limiters, self.account, parts.ledger)
        self.edges = [SimulatedEdge(number, surroundings) for number in range(scenario.edges)]

    def run(self) -> Account:
        self._plan_requests()
        self._plan_troubles()
        self.world.run(self.scenario.duration_s)
        for edge in self.edges:
            edge.stop()
        self.world.turns.settle()
        self.account.messages = sum(limiter.messages for limiter in self.limiters)
        self.account.check_windows()
        return self.account

    def _plan_requests(self) -> None:
        scenario, random = self.scenario, self.world.random
        rate = scenario.requests_per_s * (5 if scenario.is_bursty else 1)
        now_s = 0.0
        while (now_s := now_s + random.expovariate(rate)) < scenario.duration_s:
            if scenario.is_quiet(now_s):
                continue
            if scenario.is_ebbing and int(now_s) % 2 and random.random() > 1 / 16:
                continue
            self.account.asked_s.append(now_s)
            is_first = scenario.is_skewed and random.random() < 0.9
            edge = self.edges[0 if is_first else random.randrange(scenario.edges)]
            self.world.after(now_s, edge.request)
        self._see("burst at a window's end", int(scenario.duration_s / scenario.window_s) * scenario.is_bursty)

    def _plan_troubles(self) -> None:
        troubles, random = self.scenario.troubles, self.world.random
        self._see("clock slewed", bool(troubles.edge_clock_slew or troubles.store_clock_slew))
        kinds: list[tuple[float, Callable[[float], None]]] = [
            (troubles.edge_crashes, lambda lasts_s: random.choice(self.edges).crash(lasts_s)),
            (troubles.edge_freezes, self._freeze_edge),
            (troubles.limiter_crashes, self._crash_limiter),
            (troubles.limiter_freezes, lambda lasts_s: random.choice(self.limiters).freeze(lasts_s)),
            (troubles.partitions, self._part),
            (troubles.store_outages, self._take_store_away),
            (troubles.store_restarts, self._restart_store),
            (troubles.store_steps_back, lambda lasts_s: self._step_store(-lasts_s)),
            (troubles.store_steps_forward, self._step_store),
            (troubles.edge_steps, self._step_edge),
        ]
        for rate, happen in kinds:
            at_s = 0.0
            while rate and (at_s := at_s + random.expovariate(rate)) < self.scenario.duration_s:
                self.world.after(at_s, _at(happen, random.uniform(troubles.lasts_s_min, troubles.lasts_s_max)))

    def _freeze_edge(self, lasts_s: float) -> None:
        self._see("edge frozen longer than a lease", _outlasts_a_lease(lasts_s))
        self.world.random.choice(self.edges).freeze(lasts_s)

    def _crash_limiter(self, lasts_s: float) -> None:
        self._see("limiter crashed")
        number = self.world.random.randrange(len(self.limiters))
        self.limiters[number].is_dead = True
        for edge in self.edges:
            edge.perform(edge.links[number].go_down)
        self.world.after(lasts_s, lambda: self._restart_limiter(number))

    def _restart_limiter(self, number: int) -> None:
        self.limiters[number].is_dead = False
        for edge in self.edges:
            edge.perform(edge.links[number].come_up)

    def _part(self, lasts_s: float) -> None:
        """One edge from one limiter or all of them, in one direction or both."""
        random = self.world.random
        edge = random.choice(self.edges)
        links = edge.links if random.random() < 0.7 else [random.choice(edge.links)]
        direction = random.choice(DIRECTIONS)
        paths = [link.there for link in links if direction != "back"] + [
            link.back for link in links if direction != "there"
        ]
        for path in paths:
            path.cuts += 1
        spends = edge.spends

        def mend() -> None:
            for path in paths:
                path.cuts -= 1
            is_alone = links is edge.links
            if is_alone and _outlasts_a_lease(lasts_s) and edge.spends > spends:
                self._see("partition longer than a lease in which the edge spent")

        self.world.after(lasts_s, mend)

    def _take_store_away(self, lasts_s: float) -> None:
        self.store.absence = self.world.random.choice(ABSENCES)
        self._see(f"store out of reach, {self.store.absence}")
        self.world.after(lasts_s, self._bring_store_back)

    def _restart_store(self, lasts_s: float) -> None:
        kept = self.world.random.choice(KEPT)
        self._see(f"store restarted with {kept}")
        self.store.absence = "refused"
        self.store.restart(kept)
        self.world.after(lasts_s, self._bring_store_back)

    def _bring_store_back(self) -> None:
        self.store.absence = None

    def _step_store(self, seconds: float) -> None:
        self._see("clock stepped forward" if seconds > 0 else "clock stepped back")
        self.store.step(seconds)

    def _step_edge(self, seconds: float) -> None:
        self._see("edge's wall clock stepped")
        random = self.world.random
        random.choice(self.edges).clock.step_wall(seconds * random.choice((-1, 1)))

    def _see(self, sight: str, times: int = 1) -> None:
        self.account.sights[sight] += times


def _outlasts_a_lease(lasts_s: float) -> bool:
    return lasts_s > LEASE_VALID_MS / 1000


def _at(happen: Callable[[float], None], lasts_s: float) -> Callable[[], None]:
    return lambda: happen(lasts_s)
