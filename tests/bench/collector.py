"""Collector: a real OTLP receiver over gRPC that counts and keeps spans, for benchmarks and trace tests."""

from __future__ import annotations

import threading
from concurrent import futures
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Received:
    """One span, flat."""

    def __init__(self, service: str, span: Any) -> None:
        self.service = service
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.attributes = {item.key: _value(item.value) for item in span.attributes}
        self.is_error = span.status.code == 2


def _value(value: Any) -> object:
    return getattr(value, value.WhichOneof("value")) if value.WhichOneof("value") else None


class Collector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Listens on a port of 127.0.0.1. Keeps at most `spans_max` spans and counts all."""

    def __init__(self, *, spans_max: int = 100_000) -> None:
        self.count = 0
        self._spans: list[Received] = []
        self._spans_max = spans_max
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the RPC
        """The receiver's one RPC."""
        with self._lock:
            for resource in request.resource_spans:
                attributes = {item.key: _value(item.value) for item in resource.resource.attributes}
                service = str(attributes.get("service.name", ""))
                for scope in resource.scope_spans:
                    self.count += len(scope.spans)
                    if len(self._spans) < self._spans_max:
                        self._spans.extend(Received(service, span) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Received]:
        """What has come so far."""
        with self._lock:
            return list(self._spans)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(0.5).wait()
