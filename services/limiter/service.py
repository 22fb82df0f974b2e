"""
Limiter service: answers the asks and reports of every edge's stream.

A message goes to the store as it came, in one pipeline, and its answers go back together; nothing is kept here
between two messages, so any replica serves any edge. When the store is out of reach each item is told so at once,
and the edge decides by the limit's `failMode`. Hazard: awaiting the store is back-pressure on that one stream, so
the store behind this must never take long (the breaker of `GuardedLeaseStore`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.contracts.limiter.values import (
    Ask,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    ReportAck,
    StoreDown,
)
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable
from services.kit.names import Attribute, MetricName, SpanName
from services.kit.rpc.link import Peer, Session
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import AttributeValue, Span, Tracer
from services.limiter.store import LeaseStore

_ANSWERS: dict[type[LeaseAnswer], tuple[str]] = {
    Grant: ("granted",),
    Refusal: ("refused",),
    Closed: ("closed",),
    ReportAck: ("acknowledged",),
    StoreDown: ("store_down",),
}


class LimiterService:
    """The `Lease` RPC: a session per edge and stream."""

    def __init__(self, *, store: LeaseStore, clock: Clock, tracer: Tracer, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._tracer = tracer
        self._answers = metrics.counter(MetricName.LEASE_ANSWERS)
        self._units = metrics.counter(MetricName.LEASE_UNITS)
        self._store_duration_s = metrics.histogram(MetricName.LEASE_STORE_DURATION)

    def open(self, peer: Peer, reply: Callable[[LeaseAnswer], None]) -> Session[LeaseRequest]:
        """A session that keeps nothing."""
        return _LeaseSession(self, reply)

    async def answer(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        """One answer per request, in order."""
        spans = [(index, span) for index, request in enumerate(requests) for span in self._spans(request)]
        began_s = self._clock.monotonic_s()
        try:
            answers = await self._store.decide(requests)
        except DependencyUnavailable as error:
            answers = [StoreDown(one.bucket, one.sequence, error.code, error.message) for one in requests]
        finally:
            self._store_duration_s.observe(self._clock.monotonic_s() - began_s)
        self._count(answers)
        for index, span in spans:
            _end(span, answers[index])
        return answers

    def _spans(self, request: LeaseRequest) -> list[Span]:
        """One for each sampled request that waits for this ask."""
        if not isinstance(request, Ask):
            return []
        attributes: dict[str, AttributeValue] = {Attribute.LIMIT: request.bucket.limit_name}
        spans = [
            self._tracer.start(SpanName.LEASE, parent=parent, kind="server", attributes=attributes)
            for parent in request.traceparents
        ]
        return [span for span in spans if span is not None]

    def _count(self, answers: Sequence[LeaseAnswer]) -> None:
        for answer in answers:
            self._answers.add(_ANSWERS[type(answer)])
            if isinstance(answer, Grant):
                self._units.add((), answer.units)


class _LeaseSession:
    """One edge's stream."""

    def __init__(self, service: LimiterService, reply: Callable[[LeaseAnswer], None]) -> None:
        self._service = service
        self._reply = reply

    async def receive(self, items: Sequence[LeaseRequest]) -> None:
        """Decide one message."""
        for answer in await self._service.answer(items):
            self._reply(answer)

    async def close(self) -> None:
        """Leases live in the store and outlive the stream."""


def _end(span: Span, answer: LeaseAnswer) -> None:
    span.set(Attribute.LEASE_UNITS, answer.units if isinstance(answer, Grant) else 0)
    span.end(error=answer.message if isinstance(answer, StoreDown) else "")
