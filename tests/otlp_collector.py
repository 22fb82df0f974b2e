"""
A real OTLP receiver for tests and benchmarks: takes spans over gRPC, counts them and shows them as plain values.

It can be frozen (takes calls, answers none), which is what a stuck collector looks like from outside.

`python -m tests.otlp_collector PORT` is one in a process of its own, for tests that freeze or kill it for real.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

KINDS = {
    WireSpan.SPAN_KIND_INTERNAL: "internal",
    WireSpan.SPAN_KIND_SERVER: "server",
    WireSpan.SPAN_KIND_CLIENT: "client",
}


@dataclass(frozen=True)
class CollectedSpan:
    """One span as it arrived. `parent_id` is empty for a root; `links` are (trace id, span id)."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, object]
    links: tuple[tuple[str, str], ...]
    error: str
    resource: dict[str, object]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """
    A collector as a context manager. Counts all spans, keeps at most `spans_max`. `port` 0: the system chooses one.
    """

    def __init__(self, *, spans_max: int = 100_000, port: int = 0) -> None:
        self.count = 0
        self._spans_max = spans_max
        self._spans: list[CollectedSpan] = []
        self._metadata: list[dict[str, str]] = []
        self._running = threading.Event()
        self._running.set()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[CollectedSpan]:
        """Everything that arrived, in the order of arrival."""
        return list(self._spans)

    @property
    def metadata(self) -> list[dict[str, str]]:
        """Headers of each call."""
        return list(self._metadata)

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        """The spans of one trace, by start."""
        return sorted((span for span in self._spans if span.trace_id == trace_id), key=lambda span: span.start_ns)

    def wait_for(
        self, is_enough: Callable[[list[CollectedSpan]], bool], *, timeout_s: float = 10
    ) -> list[CollectedSpan]:
        """What arrived, as soon as it is enough; for callers that are not on an event loop."""
        deadline_s = time.monotonic() + timeout_s
        while not is_enough(self.spans):
            assert time.monotonic() < deadline_s, f"after {timeout_s} s: {[span.name for span in self._spans]}"
            time.sleep(0.02)
        return self.spans

    def freeze(self) -> None:
        """Take calls, answer none."""
        self._running.clear()

    def thaw(self) -> None:
        """Answer again."""
        self._running.set()

    def Export(  # noqa: N802  (the name is the protocol's)
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._running.wait(timeout=30)
        self._metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        for of_resource in request.resource_spans:
            resource = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self.count += len(scope.spans)
                if len(self._spans) < self._spans_max:
                    self._spans.extend(_collected(span, resource) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def __enter__(self) -> Collector:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.set()
        self._server.stop(grace=None).wait()


def _collected(span: WireSpan, resource: dict[str, object]) -> CollectedSpan:
    return CollectedSpan(
        service=str(resource.get("service.name", "")),
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        error=span.status.message,
        resource=resource,
    )


def _attributes(pairs: list[KeyValue]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


if __name__ == "__main__":
    with Collector(spans_max=1, port=int(sys.argv[1])) as alone:
        print(alone.port, flush=True)
        threading.Event().wait()
