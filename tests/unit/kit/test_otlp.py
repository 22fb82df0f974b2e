from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from services.kit.health import Dependencies
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.otlp import Bounds, Destination, Process, Tracing
from services.kit.telemetry.sampling import sampling
from tests.fakes.clock import FakeClock
from tests.harness.processes import unused_port
from tests.otlp_collector import Collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


class Traced:
    """A process under test."""

    def __init__(self, **bounds: float) -> None:
        self.bounds = Bounds(**bounds)  # type: ignore[arg-type]  # each test gives the numbers it means
        self.metrics = Metrics()
        self.dependencies = Dependencies(clock=FakeClock())

    @asynccontextmanager
    async def tracing(
        self, endpoint: str, *, sampler: str = "parentbased_always_on", ratio: float = 1.0, service_name: str = ""
    ) -> AsyncIterator[Tracing]:
        tracing = Tracing(
            destination=Destination(endpoint, "x-team=search%20and%20rescue"),
            sampling=sampling(sampler, ratio),
            process=Process("01J0000000000000000000TEST", "1.2.3", service_name, is_shared=True),
            dependencies=self.dependencies,
            metrics=self.metrics,
            bounds=self.bounds,
        )
        async with tracing:
            yield tracing

    def counted(self, outcome: str) -> float:
        lines = self.metrics.render().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if f'outcome="{outcome}"' in line)


async def test_a_span_arrives_with_what_it_was_told(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        span = tracing.tracer("edge").start("edge.request", kind="server", attributes={"a": 1}, start_ns=1_000)
        assert span is not None
        span.set("http.response.status_code", 200)
        span.end(error="it broke", end_ns=3_000)

    (collected,) = collector.spans
    assert (collected.name, collected.kind, collected.error) == ("edge.request", "server", "it broke")
    assert (collected.start_ns, collected.end_ns) == (1_000, 3_000)
    assert collected.attributes == {"a": 1, "http.response.status_code": 200}
    assert span.traceparent == f"00-{collected.trace_id}-{collected.span_id}-01"
    assert collected.parent_id == ""


async def test_services_of_one_process_are_told_apart_and_share_a_trace(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        above = tracing.tracer("edge").start("edge.request")
        assert above is not None
        below = tracing.tracer("limiter").start("limiter.lease", parent=above.traceparent)
        assert below is not None
        below.end()
        above.end()

    request, lease = sorted(collector.spans, key=lambda span: span.service)
    assert (request.service, lease.service) == ("narrows-edge", "narrows-limiter")
    assert (lease.trace_id, lease.parent_id) == (request.trace_id, request.span_id)
    assert request.resource["service.instance.id"] == "01J0000000000000000000TEST"
    assert request.resource["service.version"] == "1.2.3"


async def test_a_span_of_another_process_is_a_parent(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        span = tracing.tracer("router").start("router.outcome", parent=PARENT, links=[PARENT, "garbage"])
        assert span is not None
        span.end()

    (collected,) = collector.spans
    assert (collected.trace_id, collected.parent_id) == (PARENT[3:35], PARENT[36:52])
    assert collected.links == ((PARENT[3:35], PARENT[36:52]),)


async def test_headers_for_the_collector_are_sent(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        span = tracing.tracer("edge").start("edge.request")
        assert span is not None
        span.end()

    assert collector.metadata[0]["x-team"] == "search and rescue"


async def test_an_unsampled_parent_gives_no_span(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        assert tracing.tracer("edge").start("edge.request", parent=UNSAMPLED) is None


async def test_a_malformed_parent_begins_a_trace(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint) as tracing:
        span = tracing.tracer("edge").start("edge.request", parent="00-zz-01")

        assert span is not None
        assert span.traceparent[:3] == "00-"


async def test_a_ratio_keeps_about_that_part_and_decides_alike_everywhere(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint, sampler="traceidratio", ratio=0.25) as tracing:
        edge, limiter = tracing.tracer("edge"), tracing.tracer("limiter")
        kept = [span for span in (edge.start("edge.request") for _ in range(2_000)) if span is not None]

        assert 400 < len(kept) < 600
        assert all(limiter.start("limiter.lease", parent=span.traceparent) is not None for span in kept)


async def test_an_unsampled_request_costs_next_to_nothing(collector: Collector) -> None:
    async with Traced().tracing(collector.endpoint, sampler="traceidratio", ratio=0.0) as tracing:
        tracer = tracing.tracer("edge")
        began_s = time.process_time()
        for _ in range(20_000):
            tracer.start("edge.request", kind="server")

        assert time.process_time() - began_s < 20_000 * 10e-6


@pytest.mark.parametrize(
    ("service_name", "is_shared", "expected"),
    [("", True, "narrows-edge"), ("", False, "narrows-edge"), ("ai", True, "ai-edge"), ("ai", False, "ai")],
)
def test_a_configured_name_is_kept_unless_services_share_it(service_name: str, is_shared: bool, expected: str) -> None:
    assert Process("instance", "1", service_name, is_shared).name_of("edge") == expected


async def test_a_collector_that_is_down_costs_spans_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    traced = Traced(export_timeout_s=0.3, batch_every_s=0.01)
    async with traced.tracing(f"http://127.0.0.1:{unused_port()}") as tracing:
        span = tracing.tracer("edge").start("edge.request")
        assert span is not None
        span.end()
        async with asyncio.timeout(10):
            while not traced.dependencies.is_down("collector"):
                await asyncio.sleep(0.01)

    assert traced.counted("dropped") == 1
    assert [record.name for record in caplog.records] == ["services.kit.telemetry.otlp"]


async def test_a_collector_that_keeps_a_batch_waiting_is_down_until_it_takes_it(collector: Collector) -> None:
    collector.freeze()
    traced = Traced(batch_every_s=0.01, patience_s=0.05)
    async with traced.tracing(collector.endpoint) as tracing, asyncio.timeout(10):
        span = tracing.tracer("edge").start("edge.request")
        assert span is not None
        span.end()
        while not traced.dependencies.is_down("collector"):
            await asyncio.sleep(0.01)
        collector.thaw()
        while traced.dependencies.is_down("collector"):
            await asyncio.sleep(0.01)

    assert (traced.counted("exported"), traced.counted("dropped")) == (1, 0)


async def test_a_collector_that_comes_back_is_found_again() -> None:
    port = unused_port()
    traced = Traced(export_timeout_s=0.3, batch_every_s=0.01)
    async with traced.tracing(f"http://127.0.0.1:{port}") as tracing, asyncio.timeout(10):
        tracer = tracing.tracer("edge")
        while traced.counted("dropped") < 5:
            span = tracer.start("edge.request")
            assert span is not None
            span.end()
            await asyncio.sleep(0.05)
        with Collector(port=port):
            began_s = time.monotonic()
            while traced.dependencies.is_down("collector"):
                span = tracer.start("edge.request")
                assert span is not None
                span.end()
                await asyncio.sleep(0.05)

            assert time.monotonic() - began_s < 3


async def test_a_collector_that_takes_spans_is_shown_as_up(collector: Collector) -> None:
    traced = Traced()
    async with traced.tracing(collector.endpoint) as tracing:
        span = tracing.tracer("edge").start("edge.request")
        assert span is not None
        span.end()
        async with asyncio.timeout(10):
            while not traced.dependencies.states():
                await asyncio.sleep(0.01)

    assert traced.dependencies.states()["collector"][0] == "up"


async def test_a_collector_that_is_frozen_holds_up_neither_requests_nor_the_end(collector: Collector) -> None:
    collector.freeze()
    traced = Traced(flush_s=0.2, spans_pending_max=600)
    began_s = time.monotonic()
    async with traced.tracing(collector.endpoint) as tracing:
        tracer = tracing.tracer("edge")
        for _ in range(1_000):
            span = tracer.start("edge.request")
            assert span is not None
            span.end()

        assert traced.counted("dropped") == 400

    assert time.monotonic() - began_s < 2
