"""Rules broken on purpose: the simulation notices each, so it would notice if the code broke them."""

from __future__ import annotations

from tests.simulation.broken import BROKEN
from tests.simulation.leases import simulate


def is_caught(rule: str) -> bool:
    broken = BROKEN[rule]
    return any(simulate(scenario, broken.parts).violations for scenario in broken.scenarios)


def is_clean(rule: str) -> bool:
    return not any(simulate(scenario).violations for scenario in BROKEN[rule].scenarios)


def test_credit_on_expiry_is_caught() -> None:
    assert is_caught("credit on expiry")
    assert is_clean("credit on expiry")


def test_a_report_applied_twice_is_caught() -> None:
    assert is_caught("a report applied twice")
    assert is_clean("a report applied twice")


def test_a_grant_applied_twice_is_caught() -> None:
    assert is_caught("a grant applied twice")
    assert is_clean("a grant applied twice")


def test_validity_counted_from_the_grants_arrival_is_caught() -> None:
    assert is_caught("validity counted from the grant's arrival")
    assert is_clean("validity counted from the grant's arrival")


def test_an_estimate_from_two_buckets_is_caught() -> None:
    assert is_caught("an estimate from two buckets")
    assert is_clean("an estimate from two buckets")


def test_a_lease_spent_to_the_end_of_its_validity_is_caught() -> None:
    assert is_caught("a lease spent to the end of its validity")
    assert is_clean("a lease spent to the end of its validity")


def test_a_remainder_that_leaves_out_other_edges_is_caught() -> None:
    assert is_caught("a remainder that leaves out other edges")
    assert is_clean("a remainder that leaves out other edges")


def test_a_bucket_whose_time_goes_back_is_caught() -> None:
    assert is_caught("a bucket whose time goes back")
    assert is_clean("a bucket whose time goes back")
