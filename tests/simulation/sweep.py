"""
Sweep: many seeds, played one after the other or on several processors, and what they showed together.

    sweep = play_seeds(range(500))
    assert sweep.violations == []

A sweep also says what its seeds contained (`sights`), so that a test can tell that the faults it is about happened.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.leases import REAL_PARTS, Parts, simulate
from tests.simulation.scenario import Troubles, scenario_of

SEEDS_AT_A_TIME = 50
"""What one process is given in one piece."""
MUST_BE_SEEN = (
    "message lost",
    "message doubled",
    "message overtaken",
    "partition longer than a lease in which the edge spent",
    "crash with unreported spends",
    "edge frozen longer than a lease",
    "grant that arrived after its expiry",
    "burst at a window's end",
    "clock slewed",
    "clock stepped back",
    "clock stepped forward",
    "edge's wall clock stepped",
    "limiter crashed",
    "store out of reach, refused",
    "store out of reach, mute",
    "store restarted with everything",
    "store restarted with all but its last second",
    "store restarted with nothing",
    "request not made after all",
    "client left while it waited",
)
"""A sweep without one of these has not tried what it is there for."""


@dataclass(slots=True)
class Sweep:
    """What the seeds showed. `shares`: of what one exact limiter admits, of each seed without faults."""

    seeds: int = 0
    duration_s: float = 0.0
    admitted: int = 0
    violations: list[str] = field(default_factory=list)
    shares: dict[int, float] = field(default_factory=dict)
    unavailable_without_faults: int = 0
    sights: Counter[str] = field(default_factory=Counter)

    @property
    def unseen(self) -> list[str]:
        """What should have happened, and did not in any seed."""
        return [sight for sight in MUST_BE_SEEN if not self.sights[sight]]


def play_seeds(seeds: Iterable[int], parts: Parts = REAL_PARTS) -> Sweep:
    """Play each seed's scenario."""
    sweep = Sweep()
    began_s = time.perf_counter()
    for seed in seeds:
        _play(seed, parts, sweep)
    sweep.duration_s = time.perf_counter() - began_s
    return sweep


def play_in_processes(seeds: Sequence[int], *, processes: int) -> Sweep:
    """The same, of the real parts, on several processors."""
    began_s = time.perf_counter()
    pieces = [seeds[first : first + SEEDS_AT_A_TIME] for first in range(0, len(seeds), SEEDS_AT_A_TIME)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        together = joined(pool.map(play_seeds, pieces))
    together.duration_s = time.perf_counter() - began_s
    return together


def joined(sweeps: Iterable[Sweep]) -> Sweep:
    """As if they had been one."""
    together = Sweep()
    for sweep in sweeps:
        together.seeds += sweep.seeds
        together.duration_s += sweep.duration_s
        together.admitted += sweep.admitted
        together.violations += sweep.violations
        together.shares |= sweep.shares
        together.unavailable_without_faults += sweep.unavailable_without_faults
        together.sights += sweep.sights
    return together


def _play(seed: int, parts: Parts, sweep: Sweep) -> None:
    scenario = scenario_of(seed)
    account = simulate(scenario, parts)
    sweep.seeds += 1
    sweep.admitted += account.admitted
    sweep.violations += [f"seed {seed}: {violation}" for violation in account.violations]
    sweep.sights += account.sights
    if scenario.troubles == Troubles():
        sweep.shares[seed] = account.share_of_central
        sweep.unavailable_without_faults += account.unavailable
