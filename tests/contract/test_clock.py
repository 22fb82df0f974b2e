"""What every clock promises, run on the machine's and on the tests' own."""

from __future__ import annotations

import pytest

from services.kit.clock import Clock, SystemClock
from tests.fakes.clock import FakeClock


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    clock: Clock = request.param()
    return clock


def test_durations_never_go_back(clock: Clock) -> None:
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert clock.boottime_s() <= clock.boottime_s()


def test_boottime_counts_at_least_what_monotonic_counts(clock: Clock) -> None:
    monotonic_s, boottime_s = clock.monotonic_s(), clock.boottime_s()

    assert boottime_s >= monotonic_s


def test_the_wall_clock_is_of_this_century(clock: Clock) -> None:
    assert 1_700_000_000 < clock.wall_s() < 4_000_000_000
