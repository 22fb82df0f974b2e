"""
Pipeline: the life of a request, from its head to its booking. Read this to know what the edge does.

Nine stages in order, each in a file of its own, each writing one slot of the `Exchange`. A stage that refuses raises a
`NarrowsError`, which becomes the answer in the client's own protocol. Whatever happens, `settle` runs once.

Hazard: the client may leave at any `await`, which arrives here as a cancellation, unless this request fills the
cache and others wait for its answer; then it runs on without its client. So does an edge that stops and has waited long
enough: then the client is still there and is told.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from time import monotonic

from services.edge.configuration.configuration import Configuration
from services.edge.exchange import Exchange
from services.edge.headers import HeaderSorter
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
from services.kit.errors import NarrowsError, NotReady
from services.kit.identifiers import UlidSource
from services.kit.names import SpanName
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
        self._start_span = tracer.start
        self._wall_s = clock.wall_s
        self._ids = ids
        self.port: DataPort | None = None

    async def answer(self, arrival: Arrival) -> Reply:
        """Serve one request; its answer has been written when this returns. Raises nothing but CancelledError."""
        stages, connection = self._stages, arrival.connection
        reply = Reply(connection, arrival.payload, arrival.is_last)
        started_ms = int(self._wall_s() * 1000)
        exchange = Exchange(arrival, reply, self._ids.at(started_ms), started_ms)
        mark = exchange.marks_s.append
        error: NarrowsError | None = None
        try:
            exchange.span = self._start_span(SpanName.REQUEST, parent=arrival.traceparent, kind="server")
            resolve(exchange, self._configuration, self._sorter)
            mark(monotonic())
            authenticate(exchange)
            if (waiting := stages.receiver.receive(exchange)) is not None:
                await waiting
            mark(monotonic())
            inspect(exchange)
            if (waiting := stages.admission.admit(exchange)) is not None:
                await waiting
            mark(monotonic())
            if (waiting := stages.recaller.recall(exchange)) is not None:
                await waiting
            mark(monotonic())
            if exchange.recalled.source is None:
                # A request that fills the cache goes on without its client if others wait for the answer.
                connection.others = exchange.recalled.recall
                await stages.attempter.attempt(exchange)
            if (waiting := stages.relay.relay(exchange)) is not None:
                await waiting
        except NarrowsError as refused:
            error = refused
        except ConnectionError:
            reply.abort()
        except CancelledError:
            error = _stopping(reply)
            raise
        except Exception as defect:  # noqa: BLE001 - a rim: one request's defect must not become another's
            error = self._defect(defect)
        finally:
            connection.others = None
            if error is not None:
                self._tell(exchange, error)
            try:
                # No await: nothing can skip it.
                stages.settler.settle(exchange, error)
            except Exception as defect:  # noqa: BLE001 - a rim: the answer is written, and no other must follow it
                self._defect(defect)
        return reply

    def _tell(self, exchange: Exchange, error: NarrowsError) -> None:
        """Tell the client what went wrong, if it has heard nothing yet."""
        try:
            if exchange.reply.is_started:
                exchange.reply.break_off()
            else:
                refuse(exchange, error)
        except Exception as defect:  # noqa: BLE001 - a rim: what was used is booked even so
            self._defect(defect)
            exchange.reply.break_off()

    def _defect(self, defect: Exception) -> NarrowsError:
        assert self.port is not None
        self.port.report_defect(defect)
        return NarrowsError("the gateway failed; its log has the reason under this log id")


def _stopping(reply: Reply) -> NarrowsError | None:
    """What a client that has heard nothing yet is told, if it is the edge that leaves."""
    if reply.is_started or not reply.is_cut_short:
        return None
    return NotReady("the gateway is stopping; try again", retry_after_s=1)
