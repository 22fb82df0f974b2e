"""Limits under simulated loss, doubling, reordering, crashes, freezes and clocks that disagree, and without any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

import msgspec
import pytest

from services.contracts.limiter.values import LeaseAnswer, LeaseRequest, Technique
from services.limiter.memory import MemoryLeaseStore
from tests.simulation.account import Admission, admitted_by_one, overfull_windows
from tests.simulation.leases import Parts, simulate
from tests.simulation.scenario import Scenario, faulty
from tests.simulation.sweep import Sweep, joined, play_in_processes, play_seeds

BLOCKS = [range(first, first + 50) for first in range(0, 500, 50)]
LONG_SEEDS = range(10_000)
SHARE_MIN = 0.98
WINDOW_US = 2_000_000


@cache
def sweep_of(block: range) -> Sweep:
    """Played once for all tests of this file."""
    return play_seeds(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.start}-{block.stop - 1}")
def test_whatever_fails_no_window_admits_more_than_the_limit(block: range) -> None:
    assert sweep_of(block).violations == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.start}-{block.stop - 1}")
def test_without_faults_nearly_all_of_a_limit_is_usable_and_nobody_is_told_otherwise(block: range) -> None:
    sweep = sweep_of(block)

    assert sweep.unavailable_without_faults == 0
    assert {seed: share for seed, share in sweep.shares.items() if share < SHARE_MIN} == {}


@pytest.mark.timeout(300)
def test_the_seeds_contain_every_fault_the_protocol_is_about() -> None:
    assert joined(sweep_of(block) for block in BLOCKS).unseen == []


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_ten_thousand_seeds_keep_every_promise() -> None:
    sweep = play_in_processes(LONG_SEEDS, processes=os.cpu_count() or 1)

    assert sweep.violations == []
    assert min(sweep.shares.values()) >= SHARE_MIN
    assert sweep.unavailable_without_faults == 0
    assert sweep.unseen == []


def test_a_seed_is_a_schedule() -> None:
    first, second = simulate(faulty(3)), simulate(faulty(3))

    assert first.admissions == second.admissions
    assert first.sights == second.sights


class GenerousStore(MemoryLeaseStore):
    """Decides as if every limit were twice as high."""

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        return await super().decide([msgspec.structs.replace(one, limit=one.limit * 2) for one in requests])


@pytest.mark.parametrize("technique", ["fixed", "sliding"])
def test_a_store_that_grants_too_much_is_caught(technique: Technique) -> None:
    account = simulate(_small(technique), Parts(store=lambda clock: GenerousStore(clock=clock)))

    assert any("is above the limit" in violation for violation in account.violations)
    assert any("admitted" in violation for violation in account.violations)


def test_the_central_limiter_admits_exactly_the_limit_in_each_window() -> None:
    asked_s = [number / 100 for number in range(3000)]

    assert admitted_by_one(_small("fixed"), asked_s) == 15 * 10
    assert admitted_by_one(_small("sliding"), asked_s) == 15 * 10


def test_a_fixed_window_is_overfull_only_between_its_own_ends() -> None:
    before, after = _admissions(WINDOW_US - 1, 10), _admissions(WINDOW_US, 10)

    assert overfull_windows(_small("fixed"), before + after) == []
    assert len(overfull_windows(_small("fixed"), before + before)) == 1


def test_a_sliding_window_is_overfull_wherever_it_begins() -> None:
    first, within, after = _admissions(7, 10), _admissions(WINDOW_US + 6, 1), _admissions(WINDOW_US + 7, 10)

    assert overfull_windows(_small("sliding"), first + after) == []
    assert len(overfull_windows(_small("sliding"), first + within)) == 1


def _admissions(at_us: int, units: int) -> list[Admission]:
    return [Admission(at_us, ("edge", 1), 1) for _ in range(units)]


def _small(technique: Technique) -> Scenario:
    return Scenario(
        seed=1,
        technique=technique,
        window_s=2,
        limit=10,
        edges=2,
        limiters=1,
        requests_per_s=40,
        duration_s=6,
    )
