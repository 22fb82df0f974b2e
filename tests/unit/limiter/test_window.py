"""Windows against an oracle that remembers every unit's exact time, and the sizes of leases and refusals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.limiter.values import Technique
from services.limiter.window import (
    FixedWindow,
    SlidingWindow,
    grant_units,
    open_window,
    retry_after_ms,
    slot_length_us,
)

windows_us = st.sampled_from([1, 2, 100, 127, 128, 1000, 10_000, 60_000])
pauses = st.one_of(st.integers(0, 50), st.integers(0, 20_000))
entries = st.lists(st.tuples(pauses, st.integers(0, 9)), max_size=60)
steps = st.lists(st.tuples(pauses, st.integers(0, 9), st.integers(0, 130_000)), max_size=40)
START_US = 1_790_000_000_123


@given(window_us=windows_us, entries=entries)
def test_a_fixed_window_counts_exactly_what_came_since_its_beginning(
    window_us: int, entries: list[tuple[int, int]]
) -> None:
    window, now_us, history = FixedWindow(window_us), START_US, []
    for pause_us, units in entries:
        now_us += pause_us
        window.advance(now_us)
        window.enter(units)
        history.append((now_us, units))

        begin_us = now_us - now_us % window_us
        assert window.spent == sum(units for at_us, units in history if at_us >= begin_us)
        assert window.reset_us() == begin_us + window_us - now_us


@given(window_us=windows_us, entries=entries)
def test_a_sliding_window_never_counts_less_than_any_interval_of_its_length_holds(
    window_us: int, entries: list[tuple[int, int]]
) -> None:
    window, now_us, history = SlidingWindow(window_us), START_US, []
    for pause_us, units in entries:
        now_us += pause_us
        window.advance(now_us)
        window.enter(units)
        history.append((now_us, units))

        slot_us = slot_length_us(window_us)
        exact = sum(units for at_us, units in history if at_us > now_us - window_us)
        most = sum(units for at_us, units in history if at_us > now_us - window_us - slot_us)
        assert exact <= window.spent <= most


@given(window_us=windows_us, entries=entries)
def test_a_sliding_window_counts_by_whole_sub_buckets(window_us: int, entries: list[tuple[int, int]]) -> None:
    window, now_us, history = SlidingWindow(window_us), START_US, []
    slot_us = slot_length_us(window_us)
    for pause_us, units in entries:
        now_us += pause_us
        window.advance(now_us)
        window.enter(units)
        history.append((now_us, units))

        assert window.spent == sum(u for at, u in history if (at // slot_us + 1) * slot_us + window_us > now_us)


@given(window_us=windows_us, steps=steps)
def test_late_expiries_and_new_units_leave_a_sliding_window_each_in_their_own_time(
    window_us: int, steps: list[tuple[int, int, int]]
) -> None:
    window, now_us, history = SlidingWindow(window_us), START_US, []
    slot_us = slot_length_us(window_us)
    for pause_us, units, late_us in steps:
        now_us += pause_us
        window.advance(now_us)
        window.enter(units)
        window.expire(units, granted_us=now_us - late_us - 1, expired_us=now_us - late_us)
        history += [(now_us, units), (now_us - late_us, units)]

        leaving = [((at // slot_us + 1) * slot_us + window_us, units) for at, units in history if units]
        kept = [(leaves_us, units) for leaves_us, units in leaving if leaves_us > now_us]
        assert window.spent == sum(units for _, units in kept)
        assert window.frees_in_us() == (min(kept)[0] - now_us if kept else None)


@given(window_us=windows_us, units=st.integers(1, 9), pause_us=st.integers(0, 130_000))
def test_units_leave_a_sliding_window_exactly_when_it_says(window_us: int, units: int, pause_us: int) -> None:
    window = SlidingWindow(window_us)
    window.advance(START_US + pause_us)
    window.enter(units)
    frees_in_us = window.frees_in_us()
    assert frees_in_us is not None
    window.advance(START_US + pause_us + frees_in_us - 1)
    just_before = window.spent
    window.advance(START_US + pause_us + frees_in_us)

    assert (just_before, window.spent) == (units, 0)
    assert window_us <= frees_in_us <= window_us + slot_length_us(window_us)


@given(window_us=windows_us, limit=st.integers(1, 20), entries=entries)
def test_who_spends_only_what_a_sliding_window_has_left_never_exceeds_the_limit_in_any_interval(
    window_us: int, limit: int, entries: list[tuple[int, int]]
) -> None:
    window, now_us, spent = SlidingWindow(window_us), START_US, []
    for pause_us, wanted in entries:
        now_us += pause_us
        window.advance(now_us)
        units = min(wanted, limit - window.spent)
        window.enter(units)
        spent.append((now_us, units))

    for begin_us, _ in spent:
        assert sum(units for at_us, units in spent if begin_us <= at_us < begin_us + window_us) <= limit


@given(window_us=windows_us, step_us=st.integers(1, 400))
def test_a_sliding_window_keeps_at_most_128_sub_buckets(window_us: int, step_us: int) -> None:
    window = SlidingWindow(window_us)
    for now_us in range(START_US, START_US + 400 * step_us, step_us):
        window.advance(now_us)
        window.enter(1)

        assert window.sub_buckets() <= 128


@given(window_us=windows_us, lease_us=st.integers(1, 1000), late_us=st.integers(0, 130_000), units=st.integers(1, 9))
def test_units_that_expired_lie_where_the_expiry_was(window_us: int, lease_us: int, late_us: int, units: int) -> None:
    window, reference = SlidingWindow(window_us), SlidingWindow(window_us)
    expired_us = START_US + lease_us
    window.advance(expired_us + late_us)
    window.expire(units, granted_us=START_US, expired_us=expired_us)
    reference.advance(expired_us)
    reference.enter(units)
    reference.advance(expired_us + late_us)

    assert (window.spent, window.frees_in_us()) == (reference.spent, reference.frees_in_us())


def test_units_that_expired_with_their_fixed_window_are_not_in_the_next() -> None:
    window = FixedWindow(1000)
    window.advance(5_000)
    window.expire(3, granted_us=4_700, expired_us=5_000)

    assert window.spent == 0


@given(window_us=windows_us, units=st.integers(1, 9), lease_us=st.integers(0, 60_000), late_us=st.integers(0, 60_000))
def test_units_that_expired_count_in_the_fixed_window_of_their_grant_and_in_no_other(
    window_us: int, units: int, lease_us: int, late_us: int
) -> None:
    window = FixedWindow(window_us)
    now_us = START_US + lease_us + late_us
    window.advance(now_us)
    window.expire(units, granted_us=START_US, expired_us=START_US + lease_us)

    assert window.spent == (units if START_US // window_us == now_us // window_us else 0)


@pytest.mark.parametrize(
    ("now_us", "valid_ms"),
    [(5_000_000, 1000), (14_000_000, 1000), (14_000_001, 999), (14_999_000, 1), (14_999_001, 0)],
)
def test_a_lease_lasts_a_second_or_the_rest_of_its_fixed_window(now_us: int, valid_ms: int) -> None:
    window = open_window("fixed", 5_000_000)
    window.advance(now_us)

    assert window.lease_valid_ms() == valid_ms


@given(
    remaining=st.integers(0, 10_000),
    limit=st.integers(0, 10_000),
    waiting=st.integers(0, 2_000),
    ahead=st.integers(0, 2_000),
    edges=st.integers(1, 64),
)
def test_a_grant_is_the_formula_in_exact_fractions_rounded_down(
    remaining: int, limit: int, waiting: int, ahead: int, edges: int
) -> None:
    share = Fraction(remaining - waiting, 4 * edges)
    exact = min(
        Fraction(remaining), max(Fraction(1), Fraction(limit, 128)), max(Fraction(1), waiting + min(ahead, share))
    )

    assert grant_units(remaining=remaining, limit=limit, waiting=waiting, ahead=ahead, edges=edges) == exact // 1


@given(now_us=st.integers(0, 10**16), window_s=st.integers(1, 90_000))
def test_a_lease_never_outlives_its_fixed_window(now_us: int, window_s: int) -> None:
    window = FixedWindow(window_s * 1_000_000)
    window.advance(now_us)
    expires_us = now_us + window.lease_valid_ms() * 1_000

    assert expires_us <= window.ends_us()
    assert expires_us > min(window.ends_us(), now_us + 1_000_000) - 1_000


@given(
    remaining=st.integers(1, 10_000),
    limit=st.integers(1, 10_000),
    waiting=st.integers(0, 2_000),
    ahead=st.integers(0, 2_000),
    edges=st.integers(1, 64),
)
def test_a_grant_is_something_and_never_more_than_remains_nor_more_for_more_edges(
    remaining: int, limit: int, waiting: int, ahead: int, edges: int
) -> None:
    few = grant_units(remaining=remaining, limit=limit, waiting=waiting, ahead=ahead, edges=edges)
    many = grant_units(remaining=remaining, limit=limit, waiting=waiting, ahead=ahead, edges=edges + 1)

    assert 1 <= few <= min(remaining, max(1, limit // 128))
    assert waiting > remaining or many <= few


@given(
    technique=st.sampled_from(["fixed", "sliding"]),
    held=st.integers(0, 9),
    spent=st.integers(0, 9),
    passed_us=st.integers(0, 40_000_000),
    lease_expires_in_us=st.none() | st.integers(0, 1_000_000),
)
def test_nobody_is_told_to_wait_longer_than_100_ms_unless_all_is_spent_in_a_fixed_window(
    technique: Technique, held: int, spent: int, passed_us: int, lease_expires_in_us: int | None
) -> None:
    window = open_window(technique, 10_000_000)
    window.advance(START_US)
    window.enter(spent)
    window.advance(START_US + passed_us)
    pause_ms = retry_after_ms(window, technique, held=held, lease_expires_in_us=lease_expires_in_us)

    if technique == "fixed" and not held:
        assert pause_ms == -(-window.reset_us() // 1_000)
    else:
        assert 1 <= pause_ms <= 100


@pytest.mark.parametrize(
    ("technique", "held", "lease_expires_in_us", "expected_ms"),
    [
        ("fixed", 0, None, 3_000),
        ("fixed", 1, 700_000, 100),
        ("fixed", 1, 39_001, 40),
        ("sliding", 0, None, 50),
        ("sliding", 1, 20_000, 20),
        ("sliding", 1, 0, 1),
    ],
)
def test_a_refusal_lasts_until_something_may_come_back(
    technique: Technique, held: int, lease_expires_in_us: int | None, expected_ms: int
) -> None:
    window = open_window(technique, 10_000_000 if technique == "fixed" else 127_000_000)
    window.advance(127_000_000)
    window.enter(1)
    window.advance(127_000_000 if technique == "fixed" else 127_000_000 + 127_950_000)

    assert retry_after_ms(window, technique, held=held, lease_expires_in_us=lease_expires_in_us) == expected_ms
