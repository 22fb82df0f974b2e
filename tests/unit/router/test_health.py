from __future__ import annotations

import pytest

from services.contracts.router.values import Outcome, Target, TargetHealth
from services.router.health import TARGETS_MAX, HealthBook
from tests.fakes.clock import FakeClock

TARGET = Target("local", "main", "openai", "https://api.openai.com/v1")
OTHER = Target("local", "main", "groq", "https://api.groq.com/openai/v1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def book(clock: FakeClock) -> HealthBook:
    return HealthBook(clock=clock)


def fail(book: HealthBook, count: int = 1, target: Target = TARGET) -> TargetHealth | None:
    return book.note(Outcome(target, is_success=False, count=count))


def succeed(book: HealthBook, count: int = 1, target: Target = TARGET) -> TargetHealth | None:
    return book.note(Outcome(target, is_success=True, count=count))


def test_the_fifth_failure_in_a_row_ejects(book: HealthBook) -> None:
    assert [fail(book) for _ in range(4)] == [None] * 4

    assert fail(book) == TargetHealth(TARGET, 5_000)


def test_failures_that_edges_report_together_count_each(book: HealthBook) -> None:
    assert fail(book, 3) is None
    assert fail(book, 2) == TargetHealth(TARGET, 5_000)


def test_a_success_in_between_begins_the_row_anew(book: HealthBook) -> None:
    fail(book, 4)
    succeed(book, 50)

    assert fail(book, 4) is None


def test_half_of_ten_failing_ejects_without_a_row(book: HealthBook) -> None:
    for _ in range(4):
        succeed(book)
        assert fail(book) is None
    succeed(book)

    assert fail(book) == TargetHealth(TARGET, 5_000)


def test_less_than_half_failing_does_not_eject(book: HealthBook, clock: FakeClock) -> None:
    for _ in range(30):
        assert fail(book, 3) is None
        succeed(book, 7)
        clock.advance(0.5)


def test_failures_older_than_ten_seconds_do_not_count(book: HealthBook, clock: FakeClock) -> None:
    for _ in range(4):
        fail(book)
        succeed(book)
    clock.advance(11)

    assert fail(book) is None
    assert succeed(book) is None


def test_one_target_does_not_eject_another(book: HealthBook) -> None:
    fail(book, 5)

    assert [health.target for health in book.ejected()] == [TARGET]


def test_an_ejection_ends_by_itself(book: HealthBook, clock: FakeClock) -> None:
    fail(book, 5)

    clock.advance(4.9)
    assert book.tick() == []
    assert book.ejected() == [TargetHealth(TARGET, 100)]

    clock.advance(0.2)
    assert book.tick() == [TargetHealth(TARGET, 0)]
    assert book.tick() == []
    assert book.ejected() == []


def test_ejections_that_follow_each_other_double_up_to_a_minute(book: HealthBook, clock: FakeClock) -> None:
    lengths_ms = []
    for _ in range(6):
        health = fail(book, 5)
        assert health is not None
        lengths_ms.append(health.ejected_for_ms)
        clock.advance(health.ejected_for_ms / 1000 + 0.1)

    assert lengths_ms == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


def test_after_a_quiet_minute_the_next_ejection_is_short_again(book: HealthBook, clock: FakeClock) -> None:
    for _ in range(3):
        fail(book, 5)
        clock.advance(25)
    clock.advance(61)

    assert fail(book, 5) == TargetHealth(TARGET, 5_000)


def test_outcomes_during_an_ejection_neither_lengthen_nor_shorten_it(book: HealthBook, clock: FakeClock) -> None:
    fail(book, 5)
    clock.advance(1)

    assert fail(book, 100) is None
    assert succeed(book, 100) is None
    assert book.ejected() == [TargetHealth(TARGET, 4_000)]


def test_after_an_ejection_one_failure_is_not_enough(book: HealthBook, clock: FakeClock) -> None:
    fail(book, 5)
    clock.advance(5.1)
    book.tick()

    assert fail(book) is None


def test_a_target_without_traffic_is_forgotten_after_ten_minutes(book: HealthBook, clock: FakeClock) -> None:
    fail(book, 4)
    clock.advance(599)
    succeed(book, target=OTHER)
    book.tick()
    assert len(book) == 2

    clock.advance(1)
    book.tick()

    assert len(book) == 1
    assert fail(book) is None


def test_the_memory_is_bounded_and_forgets_who_was_heard_of_first(book: HealthBook) -> None:
    fail(book, 4)
    for number in range(TARGETS_MAX):
        succeed(book, target=Target("local", "main", "openai", f"https://{number}.example.com"))

    assert len(book) == TARGETS_MAX
    assert fail(book) is None
