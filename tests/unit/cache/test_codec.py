"""The cache's codec: whatever is said arrives as it was said, and is never larger than it was said to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrows.cache.v1 import cache_pb2
from services.contracts.cache.codec import CALLS, REPLIES
from services.contracts.cache.conversation import call_traceparents, settled_call
from services.contracts.cache.values import (
    AppendRun,
    CacheCall,
    CacheReply,
    Fill,
    FillChunks,
    FillEnd,
    FillHead,
    FillWhole,
    Hit,
    HitPart,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Leave,
    Lookup,
    Miss,
    ReadRun,
    RunEvents,
    Watched,
)

numbers = st.integers(0, 2**64 - 1)
small = st.integers(0, 2**32 - 1)
octets = st.binary(max_size=200)
chunks = st.lists(octets, max_size=5).map(tuple)
headers = st.lists(st.tuples(octets, octets), max_size=4).map(tuple)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
outcomes = st.sampled_from(["whole", "uncacheable", "failed"])
crowds = st.lists(numbers, max_size=6).map(tuple)

calls = st.one_of(
    st.builds(Lookup, numbers, octets, small, text),
    st.builds(FillHead, numbers, small, headers, small, text, text),
    st.builds(FillChunks, numbers, st.lists(octets, max_size=3).map(tuple)),
    st.builds(FillEnd, numbers, outcomes, text),
    st.builds(FillWhole, numbers, small, headers, chunks, small, text, text),
    st.builds(Leave, numbers),
    st.builds(AppendRun, numbers, text, small, chunks, st.booleans()),
    st.builds(ReadRun, numbers, text, small),
)
replies = st.one_of(
    st.builds(Hit, numbers, small, headers, chunks, text, small, st.booleans()),
    st.builds(HitPart, numbers, chunks, st.booleans()),
    st.builds(Fill, numbers, st.booleans()),
    st.builds(Join, numbers, st.booleans()),
    st.builds(Watched, numbers, st.booleans()),
    st.builds(JoinHead, crowds, small, headers, text),
    st.builds(JoinChunk, crowds, octets),
    st.builds(JoinEnd, crowds, outcomes, text),
    st.builds(Miss, numbers, st.booleans()),
    st.builds(RunEvents, numbers, small, chunks, st.booleans(), st.booleans()),
)


@given(st.lists(calls, max_size=8), numbers)
def test_calls_arrive_as_they_were_said(said: list[CacheCall], probe: int) -> None:
    message = CALLS.encode(said, probe)

    heard, echo = CALLS.decode(message)

    assert list(heard) == said
    assert echo == probe


@given(st.lists(replies, max_size=8), numbers)
def test_replies_arrive_as_they_were_said(said: list[CacheReply], probe: int) -> None:
    message = REPLIES.encode(said, probe)

    heard, echo = REPLIES.decode(message)

    assert list(heard) == said
    assert echo == probe


@given(calls)
def test_no_call_is_larger_than_it_is_said_to_be(call: CacheCall) -> None:
    assert len(CALLS.encode([call], 0)) <= CALLS.size_bytes(call)


@given(replies)
def test_no_reply_is_larger_than_it_is_said_to_be(reply: CacheReply) -> None:
    assert len(REPLIES.encode([reply], 0)) <= REPLIES.size_bytes(reply)


def test_a_kind_of_call_that_is_not_known_yet_is_left_out() -> None:
    unknown = cache_pb2.Calls(calls=[cache_pb2.Call(), cache_pb2.Call(leave=cache_pb2.Leave(call=7))])

    heard, _ = CALLS.decode(unknown.SerializeToString())

    assert list(heard) == [Leave(7)]


def test_an_outcome_that_is_not_known_is_no_whole_answer() -> None:
    unknown = cache_pb2.Call(fill_end=cache_pb2.FillEnd(call=7, outcome=cache_pb2.FILL_OUTCOME_UNSPECIFIED))

    heard, _ = CALLS.decode(cache_pb2.Calls(calls=[unknown]).SerializeToString())

    assert list(heard) == [FillEnd(7, "failed")]


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        (Hit(7, 200, (), (), "", 60), 7),
        (Hit(7, 200, (), (), "", 60, is_partial=True), None),
        (HitPart(7, (), is_last=False), None),
        (HitPart(7, (), is_last=True), 7),
        (Fill(7), 7),
        (Join(7), 7),
        (Miss(7), 7),
        (RunEvents(7, 0, (), is_end=False), 7),
        (Watched(7, is_watched=True), None),
        (JoinChunk((7,), b""), None),
        (JoinEnd((7,), "whole", ""), None),
    ],
)
def test_a_question_is_settled_by_its_first_whole_answer(reply: CacheReply, call: int | None) -> None:
    assert settled_call(reply) == call


def test_sampled_lookups_and_fills_name_their_request() -> None:
    sampled = (
        Lookup(1, b"k", 1, "00-a-b-01"),
        FillHead(1, 200, (), 60, "", "00-a-c-01"),
        FillWhole(1, 200, (), (), 60, "", "00-a-d-01"),
    )

    named = call_traceparents((Lookup(1, b"k", 1), *sampled, FillChunks(1, (b"",))))

    assert list(named) == ["00-a-b-01", "00-a-c-01", "00-a-d-01"]
