"""
Leases, simulated: the real ledger of every edge, the real service of every limiter, one shared store.

A `Scenario` says what is limited, who asks and what goes wrong; `simulate` plays it and returns an `Account`
of what was admitted and which promises were broken (none, if the code is right):

    account = asyncio.run(simulate(faulty(seed)))
    assert account.violations == []

Checked at every decision: held + spent never above the limit. At every spend: the store's lease has not expired.
At the end: no window, wherever it begins for sliding ones, admitted more than the limit. `central` counts what one
exact limiter without any network would have admitted of the same requests.

To break a rule on purpose pass other `Parts`: a changed ledger, or a store whose buckets are changed.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Technique,
)
from services.edge.leases.holding import Holding
from services.edge.leases.lease import Lease
from services.edge.leases.ledger import TICK_S, LeaseLedger
from services.edge.leases.values import Admitted, Refused, Unavailable
from services.kit.errors import DependencyUnavailable
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.limiter.memory import MemoryLeaseStore
from services.limiter.service import LimiterService
from tests.simulation.network import CLEAR, SimulatedLink, SimulatedLinks, Weather
from tests.simulation.world import World, WorldClock

LeaseId = tuple[str, int]
Reply = Callable[[Sequence[LeaseAnswer]], None]


@dataclass(frozen=True, slots=True)
class Troubles:
    """How often things happen, per second of the whole simulation, and how bad they are."""

    weather: Weather = CLEAR
    edge_crashes: float = 0.0
    edge_freezes: float = 0.0
    limiter_crashes: float = 0.0
    limiter_freezes: float = 0.0
    partitions: float = 0.0
    store_outages: float = 0.0
    store_steps_back: float = 0.0
    edge_clock_slew: float = 0.0
    lasts_s_min: float = 0.0
    lasts_s_max: float = 2.5
    """Freezes, partitions and outages last so long; up to more than a lease."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played."""

    seed: int
    technique: Technique
    window_s: int
    limit: int
    edges: int
    limiters: int
    requests_per_s: float
    duration_s: float
    is_skewed: bool = False
    """90 % of the requests go to the first edge."""
    is_bursty: bool = False
    """Requests come in the last tenth of each window, and nothing before."""
    is_ebbing: bool = False
    """Every other second only a sixteenth of the requests comes, so that leases last."""
    troubles: Troubles = Troubles()


@dataclass(slots=True)
class Account:
    """What came of it."""

    admitted_s: list[float] = field(default_factory=list)
    """True moments."""
    admitted_us: list[int] = field(default_factory=list)
    """The same on the store's clock."""
    refused: int = 0
    unavailable: int = 0
    central: int = 0
    messages: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def share_of_central(self) -> float:
        """Of what one exact limiter would have admitted."""
        return len(self.admitted_s) / self.central if self.central else 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the simulation is made of; tests of the tests replace some."""

    ledger: type[LeaseLedger] = LeaseLedger
    store: Callable[[WorldClock], MemoryLeaseStore] = lambda clock: MemoryLeaseStore(clock=clock)


REAL_PARTS = Parts()


class SharedStore:
    """Implements LeaseStore: the store all limiters share, watched, and sometimes away."""

    def __init__(self, *, bucket: Bucket, limit: int, clock: WorldClock, account: Account, parts: Parts) -> None:
        self.is_away = False
        self.expires_us: dict[LeaseId, int] = {}
        self.clock = clock
        self._latest_us = 0
        self._bucket = bucket
        self._limit = limit
        self._account = account
        self._store = parts.store(clock)

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        if self.is_away:
            raise DependencyUnavailable("redis is out of reach")
        now_us = self._latest_us = self.now_us()
        answers = await self._store.decide(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Grant) and isinstance(request, Ask):
                self.expires_us.setdefault((request.edge, request.sequence), now_us + answer.valid_ms * 1000)
        held, spent = self._store.usage(self._bucket)
        if held + spent > self._limit:
            self._account.violations.append(f"held {held} + spent {spent} is above the limit of {self._limit}")
        return answers

    async def check(self) -> None: ...

    def now_us(self) -> int:
        """The bucket's time if it were asked now: never before that of its last decision."""
        return max(self._latest_us, round(self.clock.wall_s() * 1_000_000))


class SimulatedLimiter:
    """One replica. Frozen, it takes messages up and answers them when it runs again."""

    def __init__(self, world: World, store: SharedStore) -> None:
        self.is_dead = False
        self._world = world
        self._frozen: list[tuple[Sequence[LeaseRequest], Reply]] | None = None
        self._service = LimiterService(store=store, clock=WorldClock(world), tracer=NoTracer(), metrics=Metrics())
        self.messages = 0

    def arrive(self, requests: Sequence[LeaseRequest], reply: Reply) -> None:
        """A message of an edge."""
        self.messages += 1
        if self.is_dead:
            return
        if self._frozen is not None:
            self._frozen.append((requests, reply))
            return
        answers: list[LeaseAnswer] = []
        session = self._service.open(Peer("edge", is_private=True), answers.append)
        _run_at_once(session.receive(requests))
        reply(answers)

    def freeze(self, lasts_s: float) -> None:
        """Stop running; go on later."""
        if self._frozen is None:
            self._frozen = []
            self._world.after(lasts_s, self._thaw)

    def _thaw(self) -> None:
        waiting, self._frozen = self._frozen or [], None
        for requests, reply in waiting:
            self.arrive(requests, reply)


class SimulatedEdge:
    """One edge: a ledger, its links, and requests that come and go. After a crash a new instance takes its place."""

    def __init__(self, number: int, play: Play) -> None:
        self.number = number
        self._play = play
        self._world = play.world
        self._life = 0
        self._backlog: deque[Callable[[], None]] | None = None
        self._is_ticking = False
        self.start()

    def start(self) -> None:
        """A new process."""
        self._life += 1
        self._backlog = None
        self._is_ticking = False
        slew = self._play.scenario.troubles.edge_clock_slew
        clock = WorldClock(self._world, rate=self._world.random.uniform(1 - slew, 1 + slew))
        life = self._life
        self.links = [
            SimulatedLink(
                str(number),
                world=self._world,
                weather=self._play.scenario.troubles.weather,
                arrive=limiter.arrive,
                perform=lambda event: self.perform(event, life),
            )
            for number, limiter in enumerate(self._play.limiters)
        ]
        self.name = f"edge-{self.number}-{life}"
        self.ledger = self._play.parts.ledger(edge=self.name, links=SimulatedLinks(self.links), clock=clock)
        for link, limiter in zip(self.links, self._play.limiters, strict=True):
            link.listener = self.ledger
            link.is_up = not limiter.is_dead
            self.ledger.opened(link)

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
        self._life += 1
        for link in self.links:
            link.listener = None
        self._backlog = deque()
        self._world.after(away_s, self.start)

    def freeze(self, lasts_s: float) -> None:
        """Stop running; go on later."""
        if self._backlog is None:
            self._backlog = deque()
            life = self._life
            self._world.after(lasts_s, lambda: self._thaw(life))

    def request(self) -> None:
        """A client wants one unit."""
        life = self._life
        self.perform(lambda: self._decide(life), life)

    def _decide(self, life: int) -> None:
        holding = self._holding()
        spent = self.ledger.spend((holding,))
        decision = spent[0] if spent else self.ledger.refusal(holding)
        if decision is None:
            self._world.waits += 1
            self._play.tasks.add(asyncio.ensure_future(self._wait(life)))
            self._world.give_turns()
        else:
            self._decided(decision, life)

    async def _wait(self, life: int) -> None:
        decision = await self.ledger.wait(self._holding())
        self._world.waits -= 1
        if life == self._life:
            self._decided(decision, life)

    def _holding(self) -> Holding:
        holding = self.ledger.holding(self._play.bucket, self._play.scenario.limit)
        assert holding is not None
        return holding

    def _decided(self, decision: Admitted | Refused | Unavailable, life: int) -> None:
        account = self._play.account
        if isinstance(decision, Refused):
            account.refused += 1
        elif isinstance(decision, Unavailable):
            account.unavailable += 1
        else:
            account.admitted_s.append(self._world.now_s)
            account.admitted_us.append(self._play.store.now_us())
            self._check_expiry(decision)
            written_s = self._world.random.expovariate(1 / 0.003)
            self._world.after(written_s, lambda: self.perform(lambda: self.ledger.confirm(decision), life))

    def _check_expiry(self, admitted: Admitted) -> None:
        lease, store = admitted.source, self._play.store
        if isinstance(lease, Lease):
            late_us = store.now_us() - store.expires_us[self.name, lease.sequence]
            if late_us >= 0:
                self._play.account.violations.append(f"{self.name} spent {late_us} us after the store's expiry")

    def _thaw(self, life: int) -> None:
        backlog, self._backlog = self._backlog or deque(), None
        if life != self._life:
            return
        if self._world.random.random() < 0.5:
            self.ledger.tick()
        for event in backlog:
            event()
        self._world.give_turns()
        self._keep_ticking()

    def _keep_ticking(self) -> None:
        if not self._is_ticking and self.ledger.has_work:
            self._is_ticking = True
            life = self._life
            self._world.after(TICK_S, lambda: self._tick(life))

    def _tick(self, life: int) -> None:
        """A frozen process has no ticks; whether a tick or a request comes first when it runs again, nobody knows."""
        if life != self._life:
            return
        self._is_ticking = False
        if self._backlog is None:
            self.ledger.tick()
            self._world.give_turns()
            self._keep_ticking()


class Play:
    """One scenario while it is played."""

    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self.scenario = scenario
        self.parts = parts
        self.world = World(scenario.seed)
        self.account = Account()
        self.bucket = Bucket("local", "main", "calls", scenario.technique, scenario.window_s)
        self.store_clock = WorldClock(self.world)
        self.store = SharedStore(
            bucket=self.bucket, limit=scenario.limit, clock=self.store_clock, account=self.account, parts=parts
        )
        self.limiters = [SimulatedLimiter(self.world, self.store) for _ in range(scenario.limiters)]
        self.tasks: set[asyncio.Future[None]] = set()
        self.edges = [SimulatedEdge(number, self) for number in range(scenario.edges)]
        self.asked_s: list[float] = []

    async def run(self) -> Account:
        self._plan_requests()
        self._plan_troubles()
        await self.world.run(self.scenario.duration_s)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.account.messages = sum(limiter.messages for limiter in self.limiters)
        self.account.violations += overfull_windows(self.scenario, self.account)
        self.account.central = admitted_by_one(self.scenario, self.asked_s)
        return self.account

    def _plan_requests(self) -> None:
        scenario, random = self.scenario, self.world.random
        now_s = 0.0
        while (now_s := now_s + random.expovariate(scenario.requests_per_s)) < scenario.duration_s:
            if scenario.is_bursty and now_s % scenario.window_s < 0.9 * scenario.window_s:
                continue
            if scenario.is_ebbing and int(now_s) % 2 and random.random() > 1 / 16:
                continue
            self.asked_s.append(now_s)
            is_first = scenario.is_skewed and random.random() < 0.9
            edge = self.edges[0 if is_first else random.randrange(scenario.edges)]
            self.world.after(now_s, edge.request)

    def _plan_troubles(self) -> None:
        troubles, random = self.scenario.troubles, self.world.random
        kinds: list[tuple[float, Callable[[float], None]]] = [
            (troubles.edge_crashes, lambda lasts_s: random.choice(self.edges).crash(lasts_s)),
            (troubles.edge_freezes, lambda lasts_s: random.choice(self.edges).freeze(lasts_s)),
            (troubles.limiter_crashes, self._crash_limiter),
            (troubles.limiter_freezes, lambda lasts_s: random.choice(self.limiters).freeze(lasts_s)),
            (troubles.partitions, self._part),
            (troubles.store_outages, self._take_store_away),
            (troubles.store_steps_back, lambda lasts_s: self.store_clock.step_wall(-lasts_s)),
        ]
        for rate, happen in kinds:
            at_s = 0.0
            while rate and (at_s := at_s + random.expovariate(rate)) < self.scenario.duration_s:
                self.world.after(at_s, _at(happen, random.uniform(troubles.lasts_s_min, troubles.lasts_s_max)))

    def _crash_limiter(self, lasts_s: float) -> None:
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
        """One edge from one limiter, in both directions."""
        link = self.world.random.choice(self.world.random.choice(self.edges).links)
        link.there.is_cut = link.back.is_cut = True

        def mend() -> None:
            link.there.is_cut = link.back.is_cut = False

        self.world.after(lasts_s, mend)

    def _take_store_away(self, lasts_s: float) -> None:
        self.store.is_away = True

        def bring_back() -> None:
            self.store.is_away = False

        self.world.after(lasts_s, bring_back)


async def simulate(scenario: Scenario, parts: Parts = REAL_PARTS) -> Account:
    """Play a scenario to its end."""
    return await Play(scenario, parts).run()


def faultless(seed: int) -> Scenario:
    """Saturated, and nothing goes wrong: nearly all of the limit must be usable."""
    random = World(seed).random
    limit, window_s = random.choice([20, 60, 150, 400]), 10
    return Scenario(
        seed=seed,
        technique=random.choice(["fixed", "sliding"]),
        window_s=window_s,
        limit=limit,
        edges=random.choice([1, 2, 4, 8]),
        limiters=random.choice([1, 2]),
        requests_per_s=limit / window_s * random.uniform(2, 4),
        duration_s=3 * window_s,
        is_skewed=random.random() < 0.5,
    )


def faulty(seed: int) -> Scenario:
    """Everything that may go wrong does, some of it in each seed."""
    random = World(seed).random
    limit, window_s = random.choice([1, 3, 20, 100, 300]), random.choice([1, 2, 3])

    def some(rate: float) -> float:
        return random.choice([0.0, rate, 3 * rate])

    return Scenario(
        seed=seed,
        technique=random.choice(["fixed", "sliding"]),
        window_s=window_s,
        limit=limit,
        edges=random.choice([1, 2, 3, 5]),
        limiters=random.choice([1, 2]),
        requests_per_s=min(200.0, limit / window_s * random.uniform(1, 4) + 5),
        duration_s=10.0,
        is_skewed=random.random() < 0.3,
        is_bursty=random.random() < 0.2,
        is_ebbing=random.random() < 0.3,
        troubles=Troubles(
            weather=Weather(
                lost=random.choice([0, 0.02, 0.2]),
                doubled=random.choice([0, 0.05, 0.3]),
                late=random.choice([0, 0.05, 0.2]),
                late_s_max=random.choice([0.02, 0.3, 2.5]),
            ),
            edge_crashes=some(0.1),
            edge_freezes=some(0.2),
            limiter_crashes=some(0.1),
            limiter_freezes=some(0.1),
            partitions=some(0.2),
            store_outages=some(0.1),
            store_steps_back=some(0.1),
            edge_clock_slew=random.choice([0.0, 0.07]),
        ),
    )


def overfull_windows(scenario: Scenario, account: Account) -> list[str]:
    """Windows in which more was admitted than the limit: any interval, or those that begin at the store's multiples."""
    if scenario.technique == "fixed":
        counts = Counter(now_us // (scenario.window_s * 1_000_000) for now_us in account.admitted_us)
        return [f"{count} admitted in window {index}" for index, count in counts.items() if count > scenario.limit]
    times_s, found = sorted(account.admitted_s), []
    for index, begin_s in enumerate(times_s):
        count = bisect.bisect_left(times_s, begin_s + scenario.window_s) - index
        if count > scenario.limit:
            found.append(f"{count} admitted within a window from {begin_s:.3f} s on")
    return found


def admitted_by_one(scenario: Scenario, asked_s: Sequence[float]) -> int:
    """What one exact limiter in the middle of everything would admit."""
    window: deque[float] = deque()
    admitted = 0
    for now_s in asked_s:
        begin_s = now_s - scenario.window_s if scenario.technique == "sliding" else now_s - now_s % scenario.window_s
        while window and window[0] < begin_s:
            window.popleft()
        if len(window) < scenario.limit:
            window.append(now_s)
            admitted += 1
    return admitted


def _at(happen: Callable[[float], None], lasts_s: float) -> Callable[[], None]:
    return lambda: happen(lasts_s)


def _run_at_once(work: Coroutine[Any, Any, None]) -> None:
    """The shared store is memory: it never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("the limiter waited for something")
