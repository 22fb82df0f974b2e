"""Identifiers: a ULID says when it was made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.identifiers import UlidSource, ulid, ulid_milliseconds
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import CountingBytes


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_a_ulid_says_when_it_was_made(milliseconds: int, random_80_bits: int) -> None:
    text = ulid(milliseconds, random_80_bits)

    assert len(text) == 26
    assert ulid_milliseconds(text) == milliseconds


@pytest.mark.parametrize("text", ["", "01M30MVXDH9P4SZ29YD4T1MK1", "01m30mvxdh9p4sz29yd4t1mk1g", "U" * 26])
def test_what_is_no_ulid_says_nothing(text: str) -> None:
    assert ulid_milliseconds(text) is None


def test_later_ulids_sort_behind() -> None:
    clock = FakeClock()
    source = UlidSource(clock=clock, random_bytes=CountingBytes())
    made = []
    for _ in range(3):
        made.append(source.next())
        clock.advance(0.01)

    assert made == sorted(made)
    assert len(set(made)) == 3


def test_no_ulid_says_anything_of_the_next_but_the_time() -> None:
    source = UlidSource(clock=FakeClock())

    made = [source.at(1_700_000_000_123) for _ in range(2_048)]

    alike = [sum(a == b for a, b in zip(made[n][10:], made[n + 1][10:], strict=True)) for n in range(2_047)]
    assert len(set(made)) == 2_048
    assert sum(alike) / len(alike) < 2 * 16 / 32


def test_a_source_goes_on_after_its_first_thousand_ids() -> None:
    source = UlidSource(clock=FakeClock())

    made = {source.at(1_700_000_000_123) for _ in range(5_000)}

    assert len(made) == 5_000
    assert {ulid_milliseconds(text) for text in made} == {1_700_000_000_123}
