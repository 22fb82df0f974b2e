"""Metrics of the edge: what was booked is counted by the time somebody reads it, once."""

from __future__ import annotations

import pytest

from services.dialects.usage import Usage
from services.edge.likeness import Likeness
from services.edge.metrics import UNCOUNTED_MAX, EdgeMetrics
from services.edge.stages.settle import Settled
from services.kit.telemetry.metrics import Metrics
from tests.unit.edge.test_likeness import PLAIN

ANSWERED = Likeness(PLAIN, edge="edge-1")
STREAMED = Likeness(PLAIN._replace(is_stream=True), edge="edge-1")
STORED = Likeness(PLAIN._replace(cache_status="HIT", is_attempted=False), edge="edge-1")
REFUSED = Likeness(PLAIN._replace(ended="refused", status=429, error_code=2003, is_attempted=False), edge="edge-1")
LOST = Likeness(
    PLAIN._replace(
        account="",
        gateway="",
        provider="",
        model="",
        is_planned=False,
        is_attempted=False,
        status=404,
        ended="refused",
        error_code=1002,
        degraded="",
        cache_status="",
    ),
    edge="edge-1",
)


def settled(likeness: Likeness, *, duration_s: float = 0.2, cost_nanodollars: int | None = 500) -> Settled:
    is_answered = likeness.traits.ended != "refused"
    return Settled(
        likeness=likeness,
        usage=Usage(tokens_in=12, tokens_out=None) if is_answered else Usage(),
        cost_nanodollars=cost_nanodollars if is_answered else None,
        duration_s=duration_s,
        duration_ms=round(duration_s * 1000),
        first_byte_ms=100,
        overhead_s=0.003 if is_answered else None,
        first_byte_s=0.1 if is_answered else None,
        said=ANSWERED.owner,
        bytes_in=1,
    )


class Counted:
    """What was counted, as Prometheus reads it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.edge = EdgeMetrics(self.metrics)

    def read(self) -> dict[str, float]:
        lines = self.metrics.render().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_every_kind_of_ending_is_counted_where_it_belongs(counted: Counted) -> None:
    for likeness in (ANSWERED, STREAMED, STORED, REFUSED, LOST):
        counted.edge.count(settled(likeness))

    read = counted.read()
    at = 'gateway="local/main"'
    assert sum(value for name, value in read.items() if name.startswith("narrows_requests_total")) == 5
    assert read[f'narrows_request_duration_seconds_count{{{at},provider="openai"}}'] == 4
    assert read['narrows_request_duration_seconds_count{gateway="unknown",provider=""}'] == 1
    assert read[f"narrows_overhead_seconds_count{{{at}}}"] == 3
    assert read['narrows_errors_total{code="2003"}'] == 1
    assert read['narrows_errors_total{code="1002"}'] == 1
    assert {name.partition("{")[2]: value for name, value in read.items() if name.startswith("narrows_degraded")} == {
        'dependency="limiter"}': 4,
        'dependency="cache"}': 4,
    }


def test_reading_twice_counts_once(counted: Counted) -> None:
    counted.edge.count(settled(ANSWERED))

    assert counted.read() == counted.read()


def test_what_waits_to_be_counted_is_bounded(counted: Counted) -> None:
    for _ in range(UNCOUNTED_MAX + 1):
        counted.edge.count(settled(ANSWERED))

    assert len(counted.edge._uncounted) == 1
    assert counted.read()['narrows_overhead_seconds_count{gateway="local/main"}'] == UNCOUNTED_MAX + 1


def test_a_cost_that_is_not_known_is_not_counted_as_none(counted: Counted) -> None:
    counted.edge.count(settled(ANSWERED, cost_nanodollars=None))

    assert not [name for name in counted.read() if name.startswith("narrows_cost")]
