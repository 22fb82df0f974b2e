"""The limiter's wire: what goes in comes out, buckets stand once, and sizes are never guessed too small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from narrows.limiter.v1 import limiter_pb2 as pb
from services.contracts.limiter.codec import ANSWERS, REQUESTS
from services.contracts.limiter.conversation import LEASE
from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    Report,
    ReportAck,
    StoreDown,
)

text = st.text(max_size=20)
units = st.integers(0, 2**53)
small = st.integers(0, 2**32 - 1)
sequences = st.integers(1, 2**63)
buckets = st.builds(
    Bucket, text, text, text, st.sampled_from(["fixed", "sliding"]), small, st.lists(text, max_size=3).map(tuple)
)
traceparents = st.lists(text, max_size=3).map(tuple)
asks = st.builds(Ask, st.just("edge"), buckets, sequences, units, units, units, traceparents)
reports = st.builds(Report, st.just("edge"), buckets, sequences, units, units, st.booleans(), units)
requests = st.one_of(asks, reports)
answers = st.one_of(
    st.builds(Grant, buckets, sequences, units, small, units, units, small),
    st.builds(Refusal, buckets, sequences, units, units, small),
    st.builds(Closed, buckets, sequences),
    st.builds(ReportAck, buckets, sequences, units, units, st.booleans()),
    st.builds(StoreDown, buckets, sequences, small, text),
)
BUCKET = Bucket("local", "main", "calls", "sliding", 60, ("ann",))


@given(sent=st.lists(requests, max_size=8), probe=units)
def test_requests_come_out_as_they_went_in_with_reports_first(sent: list[LeaseRequest], probe: int) -> None:
    got, got_probe = REQUESTS.decode(REQUESTS.encode(sent, probe))

    assert list(got) == sorted(sent, key=lambda request: isinstance(request, Ask))
    assert got_probe == probe


@given(sent=st.lists(answers, max_size=8), probe=units)
def test_answers_come_out_as_they_went_in_by_kind(sent: list[LeaseAnswer], probe: int) -> None:
    kinds = [Grant, Refusal, Closed, ReportAck, StoreDown]
    got, got_probe = ANSWERS.decode(ANSWERS.encode(sent, probe))

    assert list(got) == sorted(sent, key=lambda answer: kinds.index(type(answer)))
    assert got_probe == probe


@given(request=requests, answer=answers)
def test_sizes_are_never_below_what_a_message_takes(request: LeaseRequest, answer: LeaseAnswer) -> None:
    assert REQUESTS.size_bytes(request) >= len(REQUESTS.encode([request], 0))
    assert ANSWERS.size_bytes(answer) >= len(ANSWERS.encode([answer], 0))


def test_a_bucket_stands_once_in_a_message_and_is_one_object_afterwards() -> None:
    encoded = REQUESTS.encode([Ask("e", BUCKET, n, 9, 1, 0) for n in range(1, 50)], 0)
    decoded, _ = REQUESTS.decode(encoded)

    assert len(pb.LeaseRequests.FromString(encoded).buckets) == 1
    assert all(request.bucket is decoded[0].bucket for request in decoded)


def test_every_answer_settles_the_lease_it_is_about() -> None:
    assert LEASE.answers(Closed(BUCKET, 3)) == LEASE.answers(ReportAck(BUCKET, 3, 1, 0, is_closed=False))
    assert LEASE.answers(Closed(BUCKET, 3)) != LEASE.answers(Closed(BUCKET, 4))


def test_a_message_is_linked_to_the_requests_that_wait_for_its_asks() -> None:
    ask, report = Ask("e", BUCKET, 1, 9, 1, 0, ("00-a-b-01",)), Report("e", BUCKET, 1, 0, 0, is_closed=True, limit=9)

    assert list(LEASE.traceparents((ask, report))) == ["00-a-b-01"]
