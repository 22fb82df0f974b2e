"""Limits under simulated loss, doubling, reordering, crashes, freezes and clocks that disagree, and without any."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from services.contracts.limiter.values import LeaseAnswer, LeaseRequest
from services.limiter.memory import MemoryLeaseStore
from tests.simulation.leases import Account, Parts, Scenario, admitted_by_one, faultless, faulty, simulate

FAULTY_SEEDS = range(40)
FAULTLESS_SEEDS = range(12)


def play(scenario: Scenario, parts: Parts | None = None) -> Account:
    return asyncio.run(simulate(scenario, parts or Parts()))


@pytest.mark.parametrize("seed", FAULTY_SEEDS)
def test_whatever_fails_no_window_admits_more_than_the_limit(seed: int) -> None:
    assert play(faulty(seed)).violations == []


@pytest.mark.parametrize("seed", FAULTLESS_SEEDS)
def test_without_faults_nearly_all_of_a_limit_is_usable_and_nobody_is_told_otherwise(seed: int) -> None:
    account = play(faultless(seed))

    assert account.violations == []
    assert account.unavailable == 0
    assert account.share_of_central >= 0.98


def test_a_seed_is_a_schedule() -> None:
    first, second = play(faulty(3)), play(faulty(3))

    assert first.admitted_s == second.admitted_s
    assert first.messages == second.messages


class GenerousStore(MemoryLeaseStore):
    """Decides as if every limit were twice as high."""

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        return await super().decide([msgspec.structs.replace(one, limit=one.limit * 2) for one in requests])


@pytest.mark.parametrize("technique", ["fixed", "sliding"])
def test_a_store_that_grants_too_much_is_caught(technique: str) -> None:
    account = play(_small(technique), Parts(store=lambda clock: GenerousStore(clock=clock)))

    assert any("is above the limit" in violation for violation in account.violations)
    assert any("admitted" in violation for violation in account.violations)


def test_the_central_limiter_admits_exactly_the_limit_in_each_window() -> None:
    asked_s = [number / 100 for number in range(3000)]

    assert admitted_by_one(_small("fixed"), asked_s) == 15 * 10
    assert admitted_by_one(_small("sliding"), asked_s) == 15 * 10


def _small(technique: str) -> Scenario:
    return Scenario(
        seed=1,
        technique="fixed" if technique == "fixed" else "sliding",
        window_s=2,
        limit=10,
        edges=2,
        limiters=1,
        requests_per_s=40,
        duration_s=6,
    )
