"""Likenesses: the same for requests that end alike, another one for all others, and a bounded number of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from services.contracts.analytics.values import LogRow
from services.contracts.router.values import Logs
from services.edge.exchange import Exchange
from services.edge.likeness import LIKENESSES_MAX, Ending, Likeness, Likenesses, Traits

PLAIN = Traits(
    version="0123456789abcdef0123",
    account="local",
    gateway="main",
    logs=Logs(retention_days=7),
    request_type="native",
    method="POST",
    token_name="ci",
    provider="openai",
    model_type="chat",
    path="v1/chat/completions",
    step=0,
    is_log_wanted=None,
    is_payload_wanted=None,
    is_planned=True,
    request_content_type=b"application/json",
    body_content_type=b"application/json",
    body_coding=b"",
    model="gpt-5",
    is_stream=False,
    attempts=2,
    cache_status="MISS",
    is_attempted=True,
    status=200,
    ended="done",
    error_code=0,
    degraded="limiter,cache",
    response_content_type="application/json",
    answered_model="gpt-5-2026",
    is_custom_cost=False,
    is_error=False,
)


def row_of(traits: Traits) -> LogRow:
    likeness = Likeness(traits, edge="edge-1")
    usage = (7, None, 3, 4, None, 5, None, "provider", 900)
    said = msgspec.Raw(b'"event","trace","{}"')
    columns = (1, "id", likeness.place, *usage, likeness.ending, said, likeness.origin, 10, 20)
    return msgspec.json.decode(msgspec.json.encode(columns), type=LogRow)


def test_a_row_has_the_columns_of_its_likeness_in_their_places() -> None:
    row = row_of(PLAIN)

    assert row == LogRow(
        created_at_ms=1,
        id="id",
        account="local",
        gateway="main",
        retention_days=7,
        provider="openai",
        model="gpt-5-2026",
        model_type="chat",
        path="v1/chat/completions",
        method="POST",
        request_type="native",
        request_content_type="application/json",
        response_content_type="application/json",
        status_code=200,
        success=True,
        cache_status="MISS",
        step=0,
        attempts=2,
        duration_ms=7,
        time_to_first_byte_ms=None,
        tokens_in=3,
        tokens_out=4,
        tokens_cache_read=None,
        tokens_cache_write=5,
        tokens_reasoning=None,
        usage_source="provider",
        cost_nanodollars=900,
        custom_cost=False,
        ended="done",
        error_code=0,
        degraded="limiter,cache",
        token_name="ci",
        event_id="event",
        trace_id="trace",
        metadata="{}",
        config_version="0123456789abcdef",
        edge="edge-1",
        bytes_in=10,
        bytes_out=20,
    )


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"answered_model": ""}, {"model": "gpt-5"}),
        ({"model": "m" * 999, "answered_model": ""}, {"model": "m" * 256}),
        ({"path": "p" * 9_999}, {"path": "p" * 1024}),
        ({"request_content_type": b"\xff"}, {"request_content_type": "?"}),
        ({"status": 404}, {"status_code": 404, "success": False}),
        ({"ended": "cut"}, {"ended": "cut", "success": False}),
    ],
)
def test_what_others_wrote_is_bounded_and_readable(changes: Mapping[str, object], shown: Mapping[str, object]) -> None:
    row = row_of(PLAIN._replace(**changes))

    assert {name: getattr(row, name) for name in shown} == shown


@pytest.mark.parametrize(
    ("changes", "is_row_kept", "are_payloads_kept"),
    [
        ({}, True, True),
        ({"is_log_wanted": False}, False, False),
        ({"is_payload_wanted": False}, True, False),
        ({"logs": Logs(is_collected=False)}, False, False),
        ({"logs": Logs(is_collected=False), "is_log_wanted": True}, True, True),
        ({"logs": Logs(are_payloads_kept=False), "is_payload_wanted": True}, True, False),
    ],
)
def test_the_gateway_and_the_client_decide_what_is_kept(
    changes: Mapping[str, object], *, is_row_kept: bool, are_payloads_kept: bool
) -> None:
    likeness = Likeness(PLAIN._replace(**changes), edge="edge-1")

    assert (likeness.is_row_kept, likeness.are_payloads_kept) == (is_row_kept, are_payloads_kept)


@pytest.mark.parametrize(
    ("content_type", "coding", "is_plain"),
    [
        (b"application/json", b"", True),
        (b"application/json", b"gzip", False),
        (b"image/png", b"", False),
        (b"", b"", False),
    ],
)
def test_only_text_without_a_coding_is_plain(content_type: bytes, coding: bytes, *, is_plain: bool) -> None:
    likeness = Likeness(PLAIN._replace(body_content_type=content_type, body_coding=coding), edge="edge-1")

    assert likeness.plain_bytes_max == (PLAIN.logs.payload_bytes_max if is_plain else 0)


def unresolved() -> Exchange:
    """As much of an exchange as a likeness asks for before anything is known."""
    parts = SimpleNamespace(arrival=SimpleNamespace(method="POST"), attempts=0, has=lambda stage: False)
    return cast(Exchange, parts)


def ending(model: str = "", *, status: int = 404) -> Ending:
    return model, False, 0, "", status, "application/json", False, "refused", 2001, "", "", False, False


def test_requests_that_end_alike_have_one_likeness() -> None:
    likenesses = Likenesses(edge="edge-1")
    exchange = unresolved()

    first, again, other = (likenesses.unplanned(exchange, ending(status=status)) for status in (404, 404, 400))

    assert first is again
    assert first is not other
    assert not first.is_row_kept


def test_likenesses_are_bounded_in_number_and_text() -> None:
    likenesses = Likenesses(edge="edge-1")
    exchange = unresolved()

    for number in range(LIKENESSES_MAX + 1):
        likenesses.unplanned(exchange, ending(f"model-{number}"))
    first = likenesses.unplanned(exchange, ending("m" * 3_000))

    assert len(likenesses) == 1
    assert likenesses.unplanned(exchange, ending("m" * 3_000)) is not first
