"""Keys that wait for answers, and their deadlines."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from services.kit.rpc.outstanding import TICK_S, Outstanding


def test_keys_expire_at_the_tick_of_their_deadline() -> None:
    outstanding = Outstanding()
    outstanding.add("lookup", deadline_at_s=100.100)

    before = outstanding.expire(100.090)
    then = outstanding.expire(100.101)

    assert before == []
    assert then == ["lookup"]
    assert not outstanding.waiting


def test_a_key_without_a_deadline_waits_for_ever() -> None:
    outstanding = Outstanding()
    outstanding.add("report")

    expired = outstanding.expire(1e9)

    assert expired == []
    assert "report" in outstanding.waiting


def test_a_settled_key_does_not_expire() -> None:
    outstanding = Outstanding()
    outstanding.add("lookup", deadline_at_s=1.0)

    outstanding.waiting.pop("lookup")

    assert outstanding.expire(2.0) == []


def test_keys_that_expire_together_do_so_in_the_order_of_their_deadlines() -> None:
    outstanding = Outstanding()
    for key, deadline_at_s in (("c", 3.0), ("a", 1.0), ("later", 9.0), ("b", 2.0)):
        outstanding.add(key, deadline_at_s=deadline_at_s)

    assert outstanding.expire(5.0) == ["a", "b", "c"]
    assert outstanding.expire(8.0) == []
    assert outstanding.expire(9.0) == ["later"]


def test_a_key_added_again_has_only_its_new_deadline() -> None:
    outstanding = Outstanding()
    outstanding.add("ask", deadline_at_s=1.0)
    outstanding.add("ask", deadline_at_s=3.0)

    assert outstanding.expire(2.0) == []
    assert outstanding.expire(3.0) == ["ask"]


def test_a_deadline_can_be_taken_away() -> None:
    outstanding = Outstanding()
    outstanding.add("ask", deadline_at_s=1.0)
    outstanding.add("ask")

    assert outstanding.expire(9.0) == []
    assert outstanding.take() == ["ask"]


def test_taking_gives_all_keys_in_order_and_leaves_none() -> None:
    outstanding = Outstanding()
    for key, deadline_at_s in (("c", 3.0), ("a", math.inf), ("b", 1.0)):
        outstanding.add(key, deadline_at_s=deadline_at_s)

    keys = outstanding.take()

    assert keys == ["c", "a", "b"]
    assert outstanding.take() == []
    assert outstanding.expire(9.0) == []


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 10)), max_size=60), st.floats(0, 11))
def test_whatever_is_added_expires_once_and_never_a_tick_early(added: list[tuple[int, float]], now_s: float) -> None:
    outstanding = Outstanding()
    deadlines = dict(added)
    for key, deadline_at_s in added:
        outstanding.add(key, deadline_at_s=deadline_at_s)

    expired = outstanding.expire(now_s)
    rest = outstanding.take()

    assert sorted([*expired, *rest], key=str) == sorted(deadlines, key=str)
    assert all(deadlines[key] < now_s + TICK_S for key in deadlines if key in expired)
    assert all(deadlines[key] > now_s - TICK_S for key in deadlines if key in rest)
