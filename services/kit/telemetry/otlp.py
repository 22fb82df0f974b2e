"""
OTLP: sampled spans go to a collector over gRPC, in batches, from a thread of their own.

`Tracing` is one exporter for a whole process; each service in it asks for a tracer of its own, so that a trace
shows the services by name also when they share a process. Whether a trace is kept is decided before any span
object exists (sampling.py). A collector that is down or slow costs spans, never requests: what waits is
bounded, the rest is dropped and counted, and stopping waits for two seconds at most.

Hazard: the SDK's exporter reads OTEL_EXPORTER_OTLP_CERTIFICATE, _TIMEOUT and _COMPRESSION, and its resource reads
OTEL_RESOURCE_ATTRIBUTES, from the environment when it is made. Everything else is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import SpanKind as SdkKind
from opentelemetry.trace import Tracer as SdkTracer

from services.kit.health import Dependencies, DependencyState
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.sampling import Parent, Sampling, format_traceparent, parse_traceparent
from services.kit.telemetry.tracing import AttributeValue, Span, SpanKind

COLLECTOR = "collector"

_KINDS: dict[SpanKind, SdkKind] = {
    "internal": SdkKind.INTERNAL,
    "server": SdkKind.SERVER,
    "client": SdkKind.CLIENT,
}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and for how long."""

    spans_pending_max: int = 8_192
    """About 8 MiB. More are dropped."""
    batch_spans_max: int = 512
    batch_every_s: float = 1.0
    export_timeout_s: float = 5.0
    """For one batch, the exporter's own retries included."""
    patience_s: float = 2.0
    """After so long without an answer the collector is said to be down, though the batch may still be taken."""
    flush_s: float = 2.0
    """What stopping waits for the last spans."""


@dataclass(frozen=True, slots=True)
class Process:
    """Whose spans these are. `service_name`: OTEL_SERVICE_NAME, empty if unset."""

    instance: str
    version: str
    service_name: str = ""
    is_shared: bool = False
    """Several services run in this process, so a configured name gets the service's behind it."""

    def name_of(self, service: str) -> str:
        """`narrows-edge`, unless it is configured otherwise."""
        if self.service_name and not self.is_shared:
            return self.service_name
        return f"{self.service_name or 'narrows'}-{service}"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where spans go. `headers`: `name=value`, with commas; never shown, a key may stand in them."""

    endpoint: str
    headers: str = field(default="", repr=False)


_BOUNDS = Bounds()


class Tracing:
    """Traces of one process, exported while the context is open."""

    def __init__(
        self,
        *,
        destination: Destination,
        sampling: Sampling,
        process: Process,
        dependencies: Dependencies,
        metrics: Metrics,
        random_bits: Callable[[int], int] | None = None,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._flush_s = bounds.flush_s
        self._sampling = sampling
        self._process = process
        self._random_bits = random_bits or random.Random().getrandbits
        news = CollectorNews(endpoint=destination.endpoint, dependencies=dependencies, patience_s=bounds.patience_s)
        self._exporter = _Exporter(destination, news, timeout_s=bounds.export_timeout_s)
        self._processor = _BoundedProcessor(self._exporter, bounds)
        metrics.counter(MetricName.SPANS).watch(self._counts)

    def tracer(self, service: str) -> OtlpTracer:
        """Traces of one of the services in this process."""
        ids = _Ids(self._random_bits)
        attributes = {
            "service.name": self._process.name_of(service),
            "service.instance.id": self._process.instance,
            "service.version": self._process.version,
        }
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # asked only for spans that are kept
            resource=Resource.create(attributes),
            shutdown_on_exit=False,
            id_generator=ids,
        )
        provider.add_span_processor(self._processor)
        tracer = provider.get_tracer("narrows", self._process.version)
        return OtlpTracer(tracer, ids, self._sampling, random_bits=self._random_bits)

    async def __aenter__(self) -> Tracing:
        # The exporter logs each failed batch, with a traceback; what matters is said once, below.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter.loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what is waiting, for a bounded while. A thread that hangs is left behind and holds up nothing."""
        loop, flushed = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK does not annotate it
            with suppress(RuntimeError):  # the loop did not wait for us
                loop.call_soon_threadsafe(flushed.set)

        threading.Thread(target=flush, name="flush-spans", daemon=True).start()
        try:
            await asyncio.wait_for(flushed.wait(), self._flush_s)
        except TimeoutError:
            _log.warning("the collector did not take the last spans in time: %d dropped", self._processor.pending)

    def _counts(self) -> Mapping[tuple[str, ...], float]:
        return {
            ("exported",): self._exporter.exported,
            ("dropped",): self._exporter.dropped + self._processor.dropped,
        }


class OtlpTracer:
    """Starts spans of one service. Implements `Tracer`."""

    def __init__(self, tracer: SdkTracer, ids: _Ids, sampling: Sampling, *, random_bits: Callable[[int], int]) -> None:
        self._tracer = tracer
        self._ids = ids
        self._bound = sampling.bound
        self._sampling = sampling
        self._random_bits = random_bits

    def start(
        self,
        name: str,
        *,
        parent: str = "",
        kind: SpanKind = "internal",
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> Span | None:
        """A span, or None when it is not sampled: then all that happened is a comparison."""
        above = parse_traceparent(parent) if parent else None
        if above is None:
            lower_half = self._random_bits(64)
            if lower_half >= self._bound:
                return None
            self._ids.trace_id = self._random_bits(64) << 64 | lower_half
            context = Context()
        else:
            if not self._sampling.follows(above):
                return None
            context = set_span_in_context(NonRecordingSpan(_context(above)), Context())
        span = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            links=[Link(_context(linked)) for link in links if (linked := parse_traceparent(link))],
            start_time=start_ns,
        )
        return OtlpSpan(span)


class OtlpSpan:
    """One running span. Implements `Span`."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: SdkSpan) -> None:
        context = span.get_span_context()
        self._span = span
        self.traceparent = format_traceparent(context.trace_id, context.span_id)

    def set(self, name: str, value: AttributeValue) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, value)

    def end(self, *, error: str = "", end_ns: int | None = None) -> None:
        """Close the span."""
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(end_ns)


class _Ids(IdGenerator):
    """Span ids by chance; the trace id is the one that was sampled."""

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits
        self.trace_id = 0

    def generate_span_id(self) -> int:
        return self._random_bits(64) or 1

    def generate_trace_id(self) -> int:
        return self.trace_id or 1


class _Exporter(SpanExporter):
    """
    Sends batches and counts them. Called from the processor's thread; what it sees of the collector goes to `news`.

    A batch that failed was the last one on its channel: one to a host that is gone would be trusted for minutes.
    """

    def __init__(self, destination: Destination, news: CollectorNews, *, timeout_s: float) -> None:
        self._destination = destination
        self._timeout_s = timeout_s
        self._news = news
        self._otlp = self._open()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.exported = 0
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._tell(self._news.asked)
        result = self._otlp.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
            self._tell(self._news.answered)
        else:
            self.dropped += len(spans)
            self._tell(self._news.failed)
            self._otlp.shutdown()
            self._otlp = self._open()
        return result

    def shutdown(self) -> None:
        self._otlp.shutdown()

    def _open(self) -> OTLPSpanExporter:
        return OTLPSpanExporter(
            endpoint=self._destination.endpoint,
            headers=self._destination.headers or None,
            timeout=self._timeout_s,
            channel_options=(("grpc.enable_http_proxy", 0),),  # type: ignore[arg-type]  # annotated as text; gRPC wants a number
        )

    def _tell(self, news: Callable[[], None]) -> None:
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop has ended; nobody asks any more
                self.loop.call_soon_threadsafe(news)


class CollectorNews:
    """What is known of the collector, on the loop. One that has not taken a batch after a while is down already."""

    def __init__(self, *, endpoint: str, dependencies: Dependencies, patience_s: float) -> None:
        self._endpoint = endpoint
        self._dependencies = dependencies
        self._patience_s = patience_s
        self._state: DependencyState | None = None
        self._impatient: asyncio.TimerHandle | None = None

    def asked(self) -> None:
        """A batch has left."""
        self._impatient = asyncio.get_running_loop().call_later(self._patience_s, self._report, "down")

    def answered(self) -> None:
        """It was taken."""
        self._end("up")

    def failed(self) -> None:
        """It was not, however often it was tried."""
        self._end("down")

    def _end(self, state: DependencyState) -> None:
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
        self._report(state)

    def _report(self, state: DependencyState) -> None:
        if state == self._state:
            return
        self._state = state
        self._dependencies.report(COLLECTOR, state)
        if state == "down":
            _log.warning("the collector at %s does not take spans: they are dropped until it does", self._endpoint)
        else:
            _log.info("the collector at %s takes spans", self._endpoint)


class _BoundedProcessor(BatchSpanProcessor):
    """The SDK's batches, with a bound that counts what it refuses, spans under way to the collector included."""

    def __init__(self, exporter: _Exporter, bounds: Bounds) -> None:
        super().__init__(
            exporter,
            max_queue_size=bounds.spans_pending_max,
            schedule_delay_millis=bounds.batch_every_s * 1000,
            max_export_batch_size=bounds.batch_spans_max,
        )
        self._pending_max = bounds.spans_pending_max
        self._exporter = exporter
        self._accepted = 0
        self.dropped = 0

    @property
    def pending(self) -> int:
        """Spans that ended and are not sent yet."""
        return self._accepted - self._exporter.exported - self._exporter.dropped

    def on_end(self, span: ReadableSpan) -> None:
        if self.pending >= self._pending_max:
            self.dropped += 1
            return
        self._accepted += 1
        super().on_end(span)


def _context(parent: Parent) -> SpanContext:
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED)
