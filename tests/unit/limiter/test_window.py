"""Windows against an oracle that remembers every unit's exact time, and the sizes of leases and refusals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.limiter.window import (
    FixedWindow,
    SlidingWindow,
    grant_units,
    open_window,
    retry_after_ms,
    slot_length_ms,
)

windows_ms = st.sampled_from([1, 2, 100, 127, 128, 1000, 10_000, 60_000])
pauses = st.one_of(st.integers(0, 50), st.integers(0, 20_000))
entries = st.lists(st.tuples(pauses, st.integers(0, 9)), max_size=60)
START_MS = 1_790_000_000_123


@given(window_ms=windows_ms, entries=entries)
def test_a_fixed_window_counts_exactly_what_came_since_its_beginning(
    window_ms: int, entries: list[tuple[int, int]]
) -> None:
    window, now_ms, history = FixedWindow(window_ms), START_MS, []
    for pause_ms, units in entries:
        now_ms += pause_ms
        window.advance(now_ms)
        window.enter(units)
        history.append((now_ms, units))

        begin_ms = now_ms - now_ms % window_ms
        assert window.spent == sum(units for at_ms, units in history if at_ms >= begin_ms)
        assert window.reset_ms() == begin_ms + window_ms - now_ms


@given(window_ms=windows_ms, entries=entries)
def test_a_sliding_window_never_counts_less_than_any_interval_of_its_length_holds(
    window_ms: int, entries: list[tuple[int, int]]
) -> None:
    window, now_ms, history = SlidingWindow(window_ms), START_MS, []
    for pause_ms, units in entries:
        now_ms += pause_ms
        window.advance(now_ms)
        window.enter(units)
        history.append((now_ms, units))

        slot_ms = slot_length_ms(window_ms)
        exact = sum(units for at_ms, units in history if at_ms > now_ms - window_ms)
        most = sum(units for at_ms, units in history if at_ms > now_ms - window_ms - slot_ms)
        assert exact <= window.spent <= most


@given(window_ms=windows_ms, entries=entries)
def test_a_sliding_window_counts_by_whole_sub_buckets(window_ms: int, entries: list[tuple[int, int]]) -> None:
    window, now_ms, history = SlidingWindow(window_ms), START_MS, []
    slot_ms = slot_length_ms(window_ms)
    for pause_ms, units in entries:
        now_ms += pause_ms
        window.advance(now_ms)
        window.enter(units)
        history.append((now_ms, units))

        assert window.spent == sum(u for at, u in history if (at // slot_ms + 1) * slot_ms + window_ms > now_ms)


@given(window_ms=windows_ms, step_ms=st.integers(1, 400))
def test_a_sliding_window_keeps_at_most_128_sub_buckets(window_ms: int, step_ms: int) -> None:
    window = SlidingWindow(window_ms)
    for now_ms in range(START_MS, START_MS + 400 * step_ms, step_ms):
        window.advance(now_ms)
        window.enter(1)

        assert window.sub_buckets() <= 128


@given(window_ms=windows_ms, lease_ms=st.integers(1, 1000), late_ms=st.integers(0, 130_000), units=st.integers(1, 9))
def test_units_that_expired_lie_where_the_expiry_was(window_ms: int, lease_ms: int, late_ms: int, units: int) -> None:
    window, reference = SlidingWindow(window_ms), SlidingWindow(window_ms)
    expired_ms = START_MS + lease_ms
    window.advance(expired_ms + late_ms)
    window.expire(units, granted_ms=START_MS, expired_ms=expired_ms)
    reference.advance(expired_ms)
    reference.enter(units)
    reference.advance(expired_ms + late_ms)

    assert (window.spent, window.frees_in_ms()) == (reference.spent, reference.frees_in_ms())


def test_units_that_expired_with_their_fixed_window_are_not_in_the_next() -> None:
    window = FixedWindow(1000)
    window.advance(5_000)
    window.expire(3, granted_ms=4_700, expired_ms=5_000)

    assert window.spent == 0


@pytest.mark.parametrize(("now_ms", "valid_ms"), [(5_000, 1000), (14_000, 1000), (14_001, 999), (14_999, 1)])
def test_a_lease_lasts_a_second_or_the_rest_of_its_fixed_window(now_ms: int, valid_ms: int) -> None:
    window = open_window("fixed", 5_000)
    window.advance(now_ms)

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


@pytest.mark.parametrize(
    ("technique", "held", "lease_expires_in_ms", "pause_ms"),
    [
        ("fixed", 0, None, 3_000),
        ("fixed", 1, 700, 100),
        ("fixed", 1, 40, 40),
        ("sliding", 0, None, 50),
        ("sliding", 1, 20, 20),
        ("sliding", 1, 0, 1),
    ],
)
def test_a_refusal_lasts_until_something_may_come_back(
    technique: str, held: int, lease_expires_in_ms: int | None, pause_ms: int
) -> None:
    window = FixedWindow(10_000) if technique == "fixed" else SlidingWindow(127_000)
    window.advance(127_000)
    window.enter(1)
    window.advance(127_000 + 127_950 if technique == "sliding" else 127_000)

    answer = retry_after_ms(window, technique, held=held, lease_expires_in_ms=lease_expires_in_ms)  # type: ignore[arg-type]  # narrowed by the cases

    assert answer == pause_ms
