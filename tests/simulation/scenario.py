"""
Scenarios: what is limited, who asks for it, and what goes wrong meanwhile. A seed says all of it.

`scenario_of(seed)` is what sweeps play: nine of ten seeds have faults in a mixture of their own (`faulty`), the
tenth has none and asks for more than the limit gives (`faultless`).

Hazard: a scenario must stay inside the promise of docs/leases.md. Where it does not (a clock set forward, a store
that loses what it had), the account leaves out exactly the units that are lost to it, and holds all others to the
limit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from services.contracts.limiter.values import Technique
from services.edge.leases.ledger import TICK_S
from tests.simulation.network import CLEAR, Weather

FAULTLESS_EVERY = 10
"""One seed in so many goes without faults."""


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
    store_restarts: float = 0.0
    """With everything it had, without its last second, or without anything."""
    store_steps_back: float = 0.0
    store_steps_forward: float = 0.0
    edge_steps: float = 0.0
    """Of an edge's wall clock, either way; nothing of the protocol may depend on it."""
    edge_clock_slew: float = 0.0
    store_clock_slew: float = 0.0
    slow_heads: float = 0.0
    """Share of the requests whose head is written only up to 2 s after they were admitted."""
    withdrawn: float = 0.0
    """Share of the requests that are not made after all: another limit refuses them, or their client goes away."""
    lasts_s_min: float = 0.0
    lasts_s_max: float = 2.5
    """Freezes, partitions, outages and steps last so long; up to more than a lease."""


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
    """Requests come in the last tenth of each window and the first of the next, and none in between."""
    is_ebbing: bool = False
    """Every other second only a sixteenth of the requests comes, so that leases last."""
    units_max: int = 1
    """A request wants up to so many."""
    tick_s: float = TICK_S
    """How often an edge's loop comes round to its ledger; seldom on a machine that has too much to do."""
    troubles: Troubles = Troubles()

    def is_quiet(self, now_s: float) -> bool:
        """Between two bursts."""
        return self.is_bursty and 0.1 <= now_s % self.window_s / self.window_s < 0.9


def scenario_of(seed: int) -> Scenario:
    """What a sweep plays for this seed."""
    return faulty(seed) if seed % FAULTLESS_EVERY else faultless(seed)


def faultless(seed: int) -> Scenario:
    """
    Saturated, and nothing goes wrong: nearly all of the limit must be usable.

    Small limits are played longer, so that a unit that is a moment later than the central limiter's is no large share.
    """
    chance = random.Random(seed)
    limit, windows, window_s = *chance.choice([(20, 15), (60, 5), (150, 3), (280, 2)]), 10
    return Scenario(
        seed=seed,
        technique=chance.choice(["fixed", "sliding"]),
        window_s=window_s,
        limit=limit,
        edges=chance.choice([1, 2, 4, 8]),
        limiters=chance.choice([1, 2]),
        requests_per_s=limit / window_s * chance.uniform(1.5, 3.5),
        duration_s=windows * window_s,
        is_skewed=chance.random() < 0.5,
    )


def faulty(seed: int) -> Scenario:
    """Everything that may go wrong does, some of it in each seed."""
    chance = random.Random(seed)
    limit, window_s, units_max = chance.choice([1, 3, 20, 100, 300, 1000]), chance.choice([1, 2, 3]), 1
    if limit >= 20 and chance.random() < 0.25:
        units_max = 3
    if limit == 1000:
        units_max, window_s = 8, 3
    units_mean = (1 + units_max) / 2
    return Scenario(
        seed=seed,
        technique=chance.choice(["fixed", "sliding"]),
        window_s=window_s,
        limit=limit,
        edges=chance.choice([1, 2, 3, 5]),
        limiters=chance.choice([1, 2]),
        requests_per_s=min(120.0, limit / window_s / units_mean * chance.uniform(1, 3) + 5),
        duration_s=chance.uniform(5, 6.5),
        is_skewed=chance.random() < 0.3,
        is_bursty=chance.random() < 0.2,
        is_ebbing=chance.random() < 0.3,
        units_max=units_max,
        tick_s=chance.choice([TICK_S, 3 * TICK_S, 6 * TICK_S]),
        troubles=_troubles(chance),
    )


def _troubles(chance: random.Random) -> Troubles:
    def some(rate: float) -> float:
        return chance.choice([0.0, rate, 3 * rate])

    edge_clock_slew, store_clock_slew = chance.choice([(0.0, 0.0), (0.07, 0.0), (0.0, 0.08), (0.04, 0.04)])
    return Troubles(
        weather=Weather(
            lost=chance.choice([0, 0.02, 0.2]),
            doubled=chance.choice([0, 0.05, 0.3]),
            late=chance.choice([0, 0.05, 0.2]),
            late_s_max=chance.choice([0.02, 0.3, 2.5]),
        ),
        edge_crashes=some(0.15),
        edge_freezes=some(0.3),
        limiter_crashes=some(0.15),
        limiter_freezes=some(0.15),
        partitions=some(0.3),
        store_outages=some(0.15),
        store_restarts=chance.choice([0.0, 0.0, 0.15, 0.4]),
        store_steps_back=some(0.15),
        store_steps_forward=chance.choice([0.0, 0.0, 0.0, 0.15]),
        edge_steps=some(0.15),
        edge_clock_slew=edge_clock_slew,
        store_clock_slew=store_clock_slew,
        slow_heads=chance.choice([0.0, 0.02, 0.2]),
        withdrawn=chance.choice([0.0, 0.05, 0.3]),
    )
