"""What every tracer promises, run on the one that exports and the one that is off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.kit.health import Dependencies
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.otlp import Bounds, Destination, Process, Tracing
from services.kit.telemetry.sampling import parse_traceparent, sampling
from services.kit.telemetry.tracing import NoTracer, Tracer
from tests.fakes.clock import FakeClock
from tests.otlp_collector import Collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(params=["exporting", "off"])
async def tracer(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Tracer]:
    if request.param == "off":
        yield NoTracer()
        return
    with Collector() as collector:
        async with Tracing(
            destination=Destination(collector.endpoint),
            sampling=sampling("parentbased_always_on", 1.0),
            process=Process("instance", "1"),
            dependencies=Dependencies(clock=clock),
            metrics=Metrics(),
            bounds=Bounds(),
        ) as tracing:
            yield tracing.tracer("edge")


async def test_nothing_is_started_below_an_unsampled_parent(tracer: Tracer) -> None:
    assert tracer.start("edge.request", parent=PARENT[:-2] + "00") is None


async def test_a_started_span_is_in_its_parents_trace_and_may_be_a_parent(tracer: Tracer) -> None:
    span = tracer.start("edge.request", parent=PARENT, kind="server", attributes={"a": True}, links=[PARENT])

    if span is not None:
        span.set("b", 1.5)
        span.end(error="broken")
        child = parse_traceparent(span.traceparent)
        above = parse_traceparent(PARENT)
        assert child is not None and above is not None  # noqa: PT018  (for the type checker)
        assert child.is_sampled
        assert (child.trace_id, child.span_id != above.span_id) == (above.trace_id, True)


async def test_what_is_no_parent_does_no_harm(tracer: Tracer) -> None:
    span = tracer.start("edge.request", parent="garbage", links=["garbage"])

    if span is not None:
        span.end()
