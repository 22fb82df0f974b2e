"""
Pipeline: the life of a request, from its head to its booking. Read this to know what the edge does.

Nine stages in order, each in a file of its own, each writing one slot of the `Exchange`. A stage that refuses raises a
`NarrowsError`, which becomes the answer in the client's own protocol. Whatever happens, `settle` runs once.

Hazard: the client may leave at any `await`, which arrives here as a cancellation, unless this request fills the
cache and others wait for its answer; then it runs on without its client.
"""

from __future__ import annotations

import logging
import time

from services.edge.configuration.configuration import Configuration
from services.edge.exchange import Exchange
from services.edge.headers import HeaderSorter, traceparent_of
from services.edge.port.arrival import Arrival
from services.edge.port.reply import Reply
from services.edge.port.server import DataPort
from services.edge.refusal import refuse
from services.edge.stages.admit import Admission
from services.edge.stages.attempt import Attempter
from services.edge.stages.authenticate import authenticate
from services.edge.stages.inspect import inspect
from services.edge.stages.recall import Recaller
from services.edge.stages.receive import Receiver
from services.edge.stages.relay import Relay
from services.edge.stages.resolve import resolve
from services.edge.stages.settle import Settler
from services.kit.clock import Clock
from services.kit.errors import NarrowsError
from services.kit.identifiers import UlidSource
from services.kit.names import Attribute, SpanName
from services.kit.telemetry.tracing import Tracer

_LOG = logging.getLogger("narrows.edge")


class Stages:
    """The stages that have parts of their own."""

    def __init__(
        self,
        *,
        receiver: Receiver,
        admission: Admission,
        recaller: Recaller,
        attempter: Attempter,
        relay: Relay,
        settler: Settler,
    ) -> None:
        self.receiver = receiver
        self.admission = admission
        self.recaller = recaller
        self.attempter = attempter
        self.relay = relay
        self.settler = settler


class Pipeline:
    """Answers requests."""

    def __init__(
        self,
        *,
        configuration: Configuration,
        sorter: HeaderSorter,
        stages: Stages,
        tracer: Tracer,
        clock: Clock,
        ids: UlidSource,
    ) -> None:
        self._configuration = configuration
        self._sorter = sorter
        self._stages = stages
        self._tracer = tracer
        self._clock = clock
        self._ids = ids
        self.port: DataPort | None = None

    async def answer(self, arrival: Arrival) -> Reply:
        """Serve one request; its answer has been written when this returns. Raises nothing but CancelledError."""
        port = self.port
        assert port is not None
        port.request_began()
        reply = Reply(arrival, is_last=arrival.is_last)
        started_ms = int(self._clock.wall_s() * 1000)
        exchange = Exchange(arrival, reply, log_id=self._ids.at(started_ms), started_ms=started_ms)
        error: NarrowsError | None = None
        try:
            await self._run(exchange)
        except NarrowsError as refused:
            error = refused
        except ConnectionError:
            reply.abort()
        except Exception as defect:  # noqa: BLE001 - a rim: one request's defect must not become another's
            error = self._defect(defect)
        finally:
            arrival.connection.others = None
            port.request_ended()
            self._finish(exchange, error)
        return reply

    async def _run(self, exchange: Exchange) -> None:
        stages, mark, now_s = self._stages, exchange.marks_s.append, time.monotonic
        self._start_span(exchange)
        resolve(exchange, configuration=self._configuration, sorter=self._sorter)
        mark(now_s())
        authenticate(exchange)
        await stages.receiver.receive(exchange)
        mark(now_s())
        inspect(exchange)
        waiting = stages.admission.admit(exchange)
        if waiting is not None:
            await waiting
        mark(now_s())
        await stages.recaller.recall(exchange)
        mark(now_s())
        if exchange.recalled.source is None:
            _let_others_wait(exchange)
            await stages.attempter.attempt(exchange)
        await stages.relay.relay(exchange)

    def _finish(self, exchange: Exchange, error: NarrowsError | None) -> None:
        """Tell the client what went wrong, if it has heard nothing yet; then book. No await: nothing can skip it."""
        try:
            if error is not None and not exchange.reply.is_started:
                refuse(exchange, error)
            elif error is not None:
                exchange.reply.break_off()
        except Exception as defect:  # noqa: BLE001 - a rim: what was used is booked even so
            self._defect(defect)
            exchange.reply.break_off()
        try:
            self._stages.settler.settle(exchange, error)
        except Exception as defect:  # noqa: BLE001 - a rim: the answer is written, and must not be followed by another
            self._defect(defect)

    def _defect(self, defect: Exception) -> NarrowsError:
        assert self.port is not None
        self.port.report_defect(defect)
        return NarrowsError("the gateway failed; its log has the reason under this log id")

    def _start_span(self, exchange: Exchange) -> None:
        arrival = exchange.arrival
        parent = arrival.headers.get("traceparent")
        if not parent and "cf-aig-otel-trace-id" in arrival.headers:
            parent = traceparent_of(
                arrival.headers["cf-aig-otel-trace-id"], arrival.headers.get("cf-aig-otel-parent-span-id", "")
            )
        exchange.span = self._tracer.start(
            SpanName.REQUEST,
            parent=parent or "",
            kind="server",
            attributes=None,
            start_ns=None,
        )
        if exchange.span is not None:
            exchange.span.set(Attribute.HTTP_METHOD, arrival.method)


def _let_others_wait(exchange: Exchange) -> None:
    """While this request fills the cache, its client's leaving does not end it if others wait for the answer."""
    exchange.arrival.connection.others = exchange.recalled.recall
