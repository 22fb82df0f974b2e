"""
Stage 9, settle: what the request has used is booked, however it ended.

A plain function without a single `await`, so no cancellation can skip it; it always runs, once. Leases are
confirmed, usage becomes tokens and money, one row goes to the spool, the metrics count, the span closes.
"""

from __future__ import annotations

import time

import msgspec

from services.contracts.analytics.values import Ended
from services.dialects.money import RateBook
from services.dialects.usage import Usage
from services.edge.exchange import Exchange
from services.edge.likeness import Likeness, Likenesses, asked_and_met
from services.edge.metrics import EdgeMetrics
from services.edge.plan import Step
from services.edge.record import NOTHING_SAID, log_body, log_row, said_by_client
from services.edge.spans import end_request
from services.edge.spool.spool import Spool
from services.edge.stages.admit import Admission, Admitted
from services.edge.stages.recall import Recalled
from services.edge.stages.receive import Received, Receiver
from services.edge.stages.relay import Relayed
from services.edge.tee import Facts
from services.kit.errors import NarrowsError

_NOTHING_SPENT = Admitted((), [], is_confirmed=True)
_NOT_LOOKED_UP = Recalled("")
_NO_USAGE = Usage()
_CLIENT_GONE: tuple[int, Ended, int] = (499, "client_gone", 0)
"""nginx's status for a client that left before there was one."""
_OUR_OWN = "application/json"
"""Content type of an answer that no provider gave."""


class Settled(msgspec.Struct, frozen=True, gc=False):
    """
    What was booked. Metrics keep it until they are read, so it holds nothing of the request's bodies.

    A cached answer has its tokens and costs 0. None: not known, or there was no such time.
    """

    likeness: Likeness
    usage: Usage | Facts
    cost_nanodollars: int | None
    duration_s: float
    duration_ms: int
    first_byte_ms: int | None
    overhead_s: float | None
    """The gateway's own part of the time until the answer's head was sent."""
    first_byte_s: float | None
    said: msgspec.Raw
    bytes_in: int


class Settler:
    """Books requests."""

    def __init__(
        self,
        *,
        admission: Admission,
        receiver: Receiver,
        rates: RateBook,
        spool: Spool,
        metrics: EdgeMetrics,
        edge: str,
    ) -> None:
        self._admission = admission
        self._receiver = receiver
        self._rates = rates
        self._spool = spool
        self._metrics = metrics
        self._likenesses = Likenesses(edge=edge)

    def settle(self, exchange: Exchange, error: NarrowsError | None) -> None:
        """Writes `settled`. `error`: what ended the request instead of an answer."""
        relayed, span, capture = getattr(exchange, "relayed", None), exchange.span, None
        received = getattr(exchange, "received", None)
        self._let_go(exchange, received)
        if relayed is not None:
            step, capture, error = relayed.step, relayed.capture, relayed.error or error
            settled = self._answered(exchange, relayed, error)
        else:
            step = received.plan[0] if received is not None else None
            settled = self._unanswered(exchange, step, error)
        exchange.settled = settled
        self._metrics.count(settled)
        likeness = settled.likeness
        if likeness.is_row_kept:
            body, length = log_body(exchange, step, capture) if likeness.are_payloads_kept else (None, 0)
            traceparent = "" if span is None else span.traceparent
            self._spool.append(log_row(exchange), body, payload_length=length, traceparent=traceparent)
        if span is not None:
            end_request(span, exchange, step, error)

    def _let_go(self, exchange: Exchange, received: Received | None) -> None:
        """What the request holds is given back, what it spent stays spent."""
        admitted = getattr(exchange, "admitted", _NOTHING_SPENT)
        if not admitted.is_confirmed:
            self._admission.confirm(admitted)
        recall = getattr(exchange, "recalled", _NOT_LOOKED_UP).recall
        if recall is not None:
            recall.leave()
        if received is not None:
            self._receiver.release(received)

    def _answered(self, exchange: Exchange, relayed: Relayed, error: NarrowsError | None) -> Settled:
        step, received, ended = relayed.step, exchange.received, relayed.ended
        cost_nanodollars: int | None = 0
        usage, is_custom_cost = relayed.facts or relayed.usage or _NO_USAGE, False
        if relayed.facts is None:
            cost_nanodollars, is_custom_cost = self._cost(exchange, relayed)
        ended_as = (
            exchange.recalled.source is None,
            ended if error is None or ended != "client_gone" else "cut",
            0 if error is None else error.code,
            ",".join(exchange.degraded),
            usage.model,
            is_custom_cost,
            relayed.usage is not None and relayed.usage.is_error,
        )
        arrived_s, first_byte_s = exchange.arrival.arrived_s, relayed.first_byte_s
        if first_byte_s is not None:
            first_byte_s -= arrived_s
        duration_s = time.monotonic() - arrived_s
        return Settled(
            self._likenesses.planned(exchange, step, asked_and_met(exchange) + ended_as),
            usage,
            cost_nanodollars,
            duration_s,
            round(duration_s * 1000),
            None if first_byte_s is None else round(first_byte_s * 1000),
            relayed.head_sent_s - arrived_s - exchange.provider_wait_s,
            first_byte_s,
            said_by_client(exchange, step.options),
            len(received.body) if received.reader is None else received.reader.bytes_read,
        )

    def _unanswered(self, exchange: Exchange, step: Step | None, error: NarrowsError | None) -> Settled:
        status, ended, code = _CLIENT_GONE if error is None else (error.http_status, "refused", error.code)
        cache_status = getattr(exchange, "recalled", _NOT_LOOKED_UP).status
        met = (exchange.attempts, cache_status, status, _OUR_OWN)
        ended_as = (hasattr(exchange, "attempted"), ended, code, ",".join(exchange.degraded), "", False, False)
        if step is not None:
            ending = (step.facts.model, step.facts.is_stream, *met, *ended_as)
            likeness = self._likenesses.planned(exchange, step, ending)
            said, bytes_in = said_by_client(exchange, step.options), _bytes_in(exchange.received)
        else:
            likeness = self._likenesses.unplanned(exchange, ("", False, *met, *ended_as))
            options = exchange.resolved.options if exchange.has("resolved") else None
            said, bytes_in = NOTHING_SAID if options is None else said_by_client(exchange, options), 0
        duration_s = time.monotonic() - exchange.arrival.arrived_s
        return Settled(
            likeness,
            _NO_USAGE,
            None,
            duration_s,
            round(duration_s * 1000),
            None,
            None,
            None,
            said,
            bytes_in,
        )

    def _cost(self, exchange: Exchange, relayed: Relayed) -> tuple[int | None, bool]:
        """What a provider's answer costs, and whether by the client's own rate."""
        usage, step = relayed.usage, relayed.step
        if usage is None:
            return None, False
        gateway, custom = exchange.resolved.gateway, step.options.custom_cost
        cost = self._rates.cost_nanodollars(gateway, step.provider.name, step.facts.model, usage, custom=custom)
        return cost, custom is not None


def _bytes_in(received: Received) -> int:
    return len(received.body) if received.reader is None else received.reader.bytes_read
