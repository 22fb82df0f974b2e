"""What an edge may spend on its own: an even share, counted in windows of its own clock."""

from __future__ import annotations

import pytest

from services.edge.leases.allowance import OwnSpending, share

START_S = 1_790_000_000.0


@pytest.mark.parametrize(("limit", "edges", "units"), [(1000, 4, 250), (10, 4, 3), (1, 8, 1), (5, 0, 5), (0, 3, 0)])
def test_the_share_is_even_and_rounded_up(limit: int, edges: int, units: int) -> None:
    assert share(limit, edges) == units


def test_a_fixed_window_forgets_at_its_end() -> None:
    own = OwnSpending("fixed", 60)
    own.note(5, START_S)
    ends_s = START_S + own.frees_in_ms(START_S) / 1000

    assert ends_s % 60 == 0
    assert own.spent(ends_s - 0.001) == 5
    assert own.spent(ends_s) == 0


def test_a_sliding_window_forgets_a_unit_no_earlier_than_a_window_after_it() -> None:
    own = OwnSpending("sliding", 16)
    own.note(5, START_S + 0.9)

    assert own.spent(START_S + 16.9) == 5
    assert own.spent(START_S + 17.0) == 0


def test_a_sliding_window_keeps_few_sub_buckets_however_long_nobody_looks() -> None:
    own = OwnSpending("sliding", 1)
    for number in range(10_000):
        own.note(1, START_S + number / 20)

    assert len(own._slots) <= 20
    assert own.spent(START_S + 10_000 / 20) in range(18, 24)
