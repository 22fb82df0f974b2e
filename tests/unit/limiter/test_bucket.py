"""Buckets, whatever edges say to them and in whatever order: what always holds between leases and the limit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.limiter.values import Ask, Bucket, Grant, LeaseRequest, Report, Technique
from services.limiter.bucket import LeasedBucket

WINDOW_S = 10
START_US = 1_790_000_000_123
techniques: st.SearchStrategy[Technique] = st.sampled_from(["fixed", "sliding"])
limits = st.integers(1, 400)
edges = st.sampled_from(["A", "B", "C"])
sequences = st.integers(1, 6)
units = st.integers(0, 9)
pauses_us = st.sampled_from([0, 0, 1_000, 50_000, 400_000, 1_000_000, 3_000_000, 11_000_000])
BUCKETS: dict[Technique, Bucket] = {
    "fixed": Bucket("local", "main", "calls", "fixed", WINDOW_S),
    "sliding": Bucket("local", "main", "calls", "sliding", WINDOW_S),
}


@st.composite
def histories(draw: st.DrawFn) -> tuple[Technique, int, list[tuple[int, LeaseRequest]]]:
    """Asks and reports of three edges, repeated, out of order and of leases that never were; pauses between them."""
    technique, limit = draw(techniques), draw(limits)
    bucket = BUCKETS[technique]
    asks = st.builds(Ask, edges, st.just(bucket), sequences, st.just(limit), units, units)
    reports = st.builds(Report, edges, st.just(bucket), sequences, units, units, st.booleans(), st.just(limit))
    steps: list[tuple[int, LeaseRequest]] = draw(st.lists(st.tuples(pauses_us, asks | reports), max_size=40))
    return technique, limit, steps


def decide(bucket: LeasedBucket, request: LeaseRequest, now_us: int) -> object:
    if isinstance(request, Ask):
        return bucket.ask(request, now_us=now_us, edges=3)
    return bucket.report(request, now_us=now_us)


@given(history=histories())
def test_held_and_spent_never_exceed_the_limit(history: tuple[Technique, int, list[tuple[int, LeaseRequest]]]) -> None:
    technique, limit, steps = history
    bucket, now_us = LeasedBucket(BUCKETS[technique]), START_US
    for pause_us, request in steps:
        now_us += pause_us
        answer = decide(bucket, request, now_us)

        assert bucket.held >= 0
        assert bucket.spent >= 0
        assert bucket.held + bucket.spent <= limit
        if isinstance(answer, Grant):
            assert answer.remaining <= limit - bucket.held - bucket.spent


@given(history=histories(), times=st.integers(2, 3))
def test_a_repeated_request_changes_nothing(
    history: tuple[Technique, int, list[tuple[int, LeaseRequest]]], times: int
) -> None:
    technique, _, steps = history
    once, often, now_us = LeasedBucket(BUCKETS[technique]), LeasedBucket(BUCKETS[technique]), START_US
    for pause_us, request in steps:
        now_us += pause_us
        decide(once, request, now_us)
        for _ in range(times):
            decide(often, request, now_us)

        assert (often.held, often.spent) == (once.held, once.spent)


@given(technique=techniques, totals=st.lists(st.integers(0, 9), min_size=1, max_size=6), data=st.data())
def test_reports_of_a_lease_count_alike_in_every_order(
    technique: Technique, totals: list[int], data: st.DataObject
) -> None:
    reported = [Report("A", BUCKETS[technique], 1, spent, 0, False, 1280) for spent in totals]
    results = set()
    for order in (reported, data.draw(st.permutations(reported))):
        bucket = LeasedBucket(BUCKETS[technique])
        bucket.ask(Ask("A", BUCKETS[technique], 1, 1280, 9, 0), now_us=START_US, edges=1)
        for report in order:
            bucket.report(report, now_us=START_US)
        results.add((bucket.held, bucket.spent))

    assert results == {(9 - max(totals), max(totals))}


@given(technique=techniques, spent=st.integers(0, 5), returned=st.integers(0, 4), late_us=st.integers(0, 900_000))
def test_what_nobody_reported_when_a_lease_expires_is_spent(
    technique: Technique, spent: int, returned: int, late_us: int
) -> None:
    bucket, asked = LeasedBucket(BUCKETS[technique]), Ask("A", BUCKETS[technique], 1, 1280, 9, 0)
    grant = bucket.ask(asked, now_us=START_US, edges=1)
    bucket.report(Report("A", BUCKETS[technique], 1, spent, returned, False, 1280), now_us=START_US)
    assert isinstance(grant, Grant)
    expired_us = START_US + grant.valid_ms * 1000 + late_us
    bucket.report(Report("A", BUCKETS[technique], 1, spent, 9 - spent, True, 1280), now_us=expired_us)

    assert (bucket.held, bucket.spent) == (0, 9 - returned)


@given(history=histories())
def test_a_sequence_that_is_closed_is_never_granted_again(
    history: tuple[Technique, int, list[tuple[int, LeaseRequest]]],
) -> None:
    technique, _, steps = history
    bucket, now_us, closed = LeasedBucket(BUCKETS[technique]), START_US, Counter[str]()
    for pause_us, request in steps:
        now_us += pause_us
        answer = decide(bucket, request, now_us)
        if isinstance(request, Report) and request.is_closed:
            closed[request.edge] = max(closed[request.edge], request.sequence)

        assert not (isinstance(answer, Grant) and request.sequence <= closed[request.edge])
