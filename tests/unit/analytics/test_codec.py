"""Codec: what arrives is what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrows.analytics.v1 import analytics_pb2 as messages
from services.contracts.analytics import codec
from services.contracts.analytics.conversation import INGEST
from services.contracts.analytics.values import (
    Ack,
    EdgeStatus,
    EventBatch,
    IngestItem,
    LogFilter,
    LogPage,
    LogQuery,
    TailRequest,
    TailRows,
)
from services.kit.errors import QueryInvalid

TEXT = st.text(max_size=20)
SEQUENCE = st.integers(0, 2**64 - 1)
COUNT = st.integers(0, 2**32 - 1)
BATCHES = st.builds(
    EventBatch,
    edge=TEXT,
    sequence=SEQUENCE,
    row_count=COUNT,
    rows=st.binary(),
    bodies=st.binary(),
    columns_version=COUNT,
    traceparents=st.lists(st.text("0123456789abcdef-", min_size=55, max_size=55)).map(tuple),
)
STATUSES = st.builds(EdgeStatus, edge=TEXT, status=st.binary())
ACKS = st.builds(Ack, edge=TEXT, sequence=SEQUENCE)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
QUERIES = st.builds(
    LogQuery,
    account=TEXT,
    gateway=TEXT,
    filters=st.lists(
        st.builds(LogFilter, key=TEXT, operator=TEXT, value=st.lists(VALUES | TEXT).map(tuple)),
        max_size=3,
    ).map(tuple),
    search=TEXT,
    order_by=TEXT,
    order_by_direction=st.sampled_from(["asc", "desc"]),
    page=COUNT,
    per_page=COUNT,
    with_extremes=st.booleans(),
)


@given(BATCHES | STATUSES, SEQUENCE)
def test_an_event_arrives_as_it_was_sent(item: IngestItem, probe: int) -> None:
    assert codec.decode_events(codec.encode_events([item], probe)) == ([item], probe)


def test_a_message_may_be_nothing_but_a_probe() -> None:
    assert codec.decode_events(codec.encode_events([], 7)) == ([], 7)
    assert codec.decode_acks(codec.encode_acks([], 7)) == ([], 7)


@given(st.lists(ACKS), SEQUENCE)
def test_acknowledgements_arrive_as_they_were_sent(acks: list[Ack], probe: int) -> None:
    assert codec.decode_acks(codec.encode_acks(acks, probe)) == (acks, probe)


@given(BATCHES | STATUSES)
def test_the_estimate_of_an_items_size_is_from_above(item: IngestItem) -> None:
    assert len(codec.encode_events([item], 2**63)) <= INGEST.outgoing.size_bytes(item)


@given(QUERIES)
def test_a_question_arrives_as_it_was_sent(query: LogQuery) -> None:
    assert codec.decode_query(codec.encode_query(query)) == query


def test_a_direction_that_is_none_is_refused() -> None:
    with pytest.raises(QueryInvalid, match="order_by_direction: must be asc or desc, is ''"):
        codec.decode_query(messages.LogQuery().SerializeToString())


def test_values_that_are_no_list_are_refused() -> None:
    filters = [messages.LogFilter(key="cost", operator="eq", values=b"{")]
    with pytest.raises(QueryInvalid, match=r"filters\[cost\].value: must be a JSON array"):
        codec.decode_query(messages.LogQuery(order_by_direction="asc", filters=filters).SerializeToString())


@pytest.mark.parametrize("extremes", [{}, {"min_cost": 0.5, "max_cost": None}])
def test_a_page_arrives_as_it_was_sent(extremes: dict[str, int | float | None]) -> None:
    page = LogPage(logs=({"id": "a", "cost": None, "metadata": {"k": True}},), total_count=2**40, extremes=extremes)

    assert codec.decode_page(codec.encode_page(page)) == page


def test_tails_arrive_as_they_were_sent() -> None:
    request, rows = TailRequest("local", "main"), TailRows(rows=b"{}\n", dropped_count=3)

    assert codec.decode_tail_request(codec.encode_tail_request(request)) == request
    assert codec.decode_tail_rows(codec.encode_tail_rows(rows)) == rows


def test_a_batch_and_its_acknowledgement_have_one_key() -> None:
    assert INGEST.answers(Ack("edge", 7)) == ("edge", 7)
