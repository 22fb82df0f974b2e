"""Dependencies: several may talk to the same one, and it is down while any of them says so."""

from __future__ import annotations

import pytest

from services.kit.health import CONTRADICTED_AFTER_S, FORGOTTEN_AFTER_S, Dependencies, StoreBehind
from tests.fakes.clock import FakeClock


@pytest.fixture
def dependencies(clock: FakeClock) -> Dependencies:
    return Dependencies(clock=clock)


@pytest.fixture
def store(dependencies: Dependencies, clock: FakeClock) -> StoreBehind:
    return StoreBehind(service="cache", dependencies=dependencies, clock=clock)


def test_what_nobody_has_reported_is_up(dependencies: Dependencies) -> None:
    assert not dependencies.is_down("limiter")
    assert dependencies.states() == {}


def test_it_is_down_while_any_of_those_who_talk_to_it_says_so(dependencies: Dependencies) -> None:
    dependencies.report("router", "down", by="watch")
    dependencies.report("router", "down", by="report")

    dependencies.report("router", "up", by="watch")
    assert dependencies.is_down("router")

    dependencies.report("router", "up", by="report")
    assert not dependencies.is_down("router")


def test_the_time_moves_only_when_the_state_changes(dependencies: Dependencies, clock: FakeClock) -> None:
    dependencies.report("redis", "down", by="limiter")
    since_s = clock.wall_s()
    clock.advance(5)
    dependencies.report("redis", "down", by="cache")
    dependencies.report("redis", "up", by="limiter")

    assert dependencies.states() == {"redis": ("down", since_s)}


def test_a_store_is_down_as_soon_as_an_answer_says_so(dependencies: Dependencies, store: StoreBehind) -> None:
    store.down()

    assert store.is_down
    assert dependencies.is_down("cache")


def test_a_good_answer_beside_bad_ones_does_not_make_a_store_up(
    dependencies: Dependencies, store: StoreBehind, clock: FakeClock
) -> None:
    store.down()
    clock.advance(CONTRADICTED_AFTER_S / 2)
    store.up()
    assert dependencies.is_down("cache")

    clock.advance(CONTRADICTED_AFTER_S / 2)
    store.up()
    assert not dependencies.is_down("cache")
    assert not store.is_down


def test_a_store_that_nobody_asks_any_more_is_not_down_for_ever(
    dependencies: Dependencies, store: StoreBehind, clock: FakeClock
) -> None:
    store.down()
    clock.advance(FORGOTTEN_AFTER_S)

    assert not dependencies.is_down("cache")
    assert dependencies.states() == {"cache": ("up", clock.wall_s())}


def test_a_service_out_of_reach_is_down_whatever_was_heard_of_its_store(
    dependencies: Dependencies, store: StoreBehind, clock: FakeClock
) -> None:
    dependencies.report("cache", "down", by="stream")
    store.down()
    clock.advance(CONTRADICTED_AFTER_S)
    store.up()

    assert dependencies.is_down("cache")
