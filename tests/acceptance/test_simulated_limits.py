"""
The lease protocol under every fault it names, played by the real edge and limiter code in simulated time: 500 seeds
in a minute, as `make test` plays them, 10,000 as `make test-long` does, and each rule broken on purpose.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.acceptance.measured import Measured
from tests.simulation.broken import BROKEN
from tests.simulation.leases import simulate
from tests.simulation.sweep import MUST_BE_SEEN, Sweep, play_in_processes, play_seeds

SEEDS = range(500)
LONG_SEEDS = range(10_000)


def note(sweep: Sweep, measured: Measured) -> None:
    """What every sweep must show."""
    name = f"{sweep.seeds} seeds"
    measured(f"{name}: promises broken", len(sweep.violations), "== 0")
    measured(f"{name}: least share of one central limiter without faults", min(sweep.shares.values()), ">= 0.98")
    measured(f"{name}: refused for no reason without faults", sweep.unavailable_without_faults, "== 0")
    measured(f"{name}: kinds of fault seen", len(MUST_BE_SEEN) - len(sweep.unseen), f"== {len(MUST_BE_SEEN)}")
    assert sweep.violations == []
    assert sweep.unseen == []


def test_500_seeds_are_played_within_a_minute(measured: Measured) -> None:
    began_s = time.process_time()
    sweep = play_seeds(SEEDS)

    measured.note(f"processor {time.process_time() - began_s:.1f} s")
    measured("500 seeds in s", sweep.duration_s, "<= 60")
    note(sweep, measured)


@pytest.mark.timeout(3_600)
def test_10000_seeds_break_no_promise(measured: Measured) -> None:
    sweep = play_in_processes(LONG_SEEDS, processes=os.cpu_count() or 1)

    measured.note(f"10000 seeds in {sweep.duration_s:.0f} s, {sweep.admitted} units admitted")
    note(sweep, measured)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_broken_on_purpose_is_noticed(rule: str, measured: Measured) -> None:
    broken = BROKEN[rule]
    noticed = sum(bool(simulate(scenario, broken.parts).violations) for scenario in broken.scenarios)
    mistaken = sum(bool(simulate(scenario).violations) for scenario in broken.scenarios)

    measured(f"{rule}: noticed in scenarios", noticed, ">= 1")
    measured(f"{rule}: and unbroken", mistaken, "== 0")
