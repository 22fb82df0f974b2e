"""
Stage 9, settle: what the request has used is booked, however it ended.

A plain function without a single `await`, so no cancellation can skip it; it always runs, once. Leases are
confirmed, usage becomes tokens and money, one event goes to the spool, the metrics count, the span closes.
"""

from __future__ import annotations

import time

import msgspec

from services.dialects.money import RateBook
from services.edge.exchange import Exchange
from services.edge.metrics import EdgeMetrics
from services.edge.plan import Step
from services.edge.record import Bill, Ending, are_payloads_kept, is_row_kept, log_body, log_row, options_of
from services.edge.spans import end_request
from services.edge.spool.spool import Spool
from services.edge.stages.admit import Admission
from services.edge.stages.receive import Received, Receiver
from services.edge.stages.relay import Relayed
from services.kit.errors import NarrowsError

_NOTHING = Bill()
_CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that left before there was a status


class Settled(msgspec.Struct, frozen=True):
    """What was booked."""

    bill: Bill
    ending: Ending


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
        self._edge = edge

    def settle(self, exchange: Exchange, error: NarrowsError | None) -> None:
        """Writes `settled`. `error`: what ended the request instead of an answer."""
        relayed = getattr(exchange, "relayed", None)
        received = getattr(exchange, "received", None)
        self._let_go(exchange, received)
        ending = _ending(relayed, error)
        step = relayed.step if relayed is not None else received.plan[0] if received is not None else None
        bill = self._bill(exchange, relayed)
        exchange.settled = Settled(bill, ending)
        self._metrics.count(exchange, step, bill, ending)
        if hasattr(exchange, "resolved"):
            self._log(exchange, step, bill, ending)
        if exchange.span is not None:
            end_request(exchange.span, exchange, step, ending, bill)

    def _let_go(self, exchange: Exchange, received: Received | None) -> None:
        """What the request holds is given back, what it spent stays spent."""
        admitted = getattr(exchange, "admitted", None)
        if admitted is not None and not admitted.is_confirmed:
            self._admission.confirm(admitted)
        recalled = getattr(exchange, "recalled", None)
        if recalled is not None and recalled.recall is not None:
            recalled.recall.leave()
        if received is not None:
            self._receiver.release(received)

    def _log(self, exchange: Exchange, step: Step | None, bill: Bill, ending: Ending) -> None:
        logs = exchange.resolved.gateway.logs
        options = step.options if step is not None else options_of(exchange, step)
        if not is_row_kept(logs, options):
            return
        row = log_row(exchange, step, bill, ending, edge=self._edge)
        self._spool.append(
            row,
            log_body(exchange, step, row) if are_payloads_kept(logs, options) else None,
            traceparent=exchange.span.traceparent if exchange.span is not None else "",
        )

    def _bill(self, exchange: Exchange, relayed: Relayed | None) -> Bill:
        if relayed is None:
            return _NOTHING
        step, facts = relayed.step, relayed.facts
        if facts is not None:
            return Bill(
                facts.model,
                facts.tokens_in,
                facts.tokens_out,
                facts.tokens_cache_read,
                facts.tokens_cache_write,
                facts.tokens_reasoning,
                facts.source,
                0,
            )
        usage = relayed.usage
        if usage is None:
            return _NOTHING
        gateway, custom = exchange.resolved.gateway, step.options.custom_cost
        return Bill(
            usage.model,
            usage.tokens_in,
            usage.tokens_out,
            usage.tokens_cache_read,
            usage.tokens_cache_write,
            usage.tokens_reasoning,
            usage.source,
            self._rates.cost_nanodollars(gateway, step.provider.name, step.facts.model, usage, custom=custom),
            custom is not None,
        )


def _ending(relayed: Relayed | None, error: NarrowsError | None) -> Ending:
    now_s = time.monotonic()
    if relayed is not None:
        is_ours = error is not None and relayed.ended == "client_gone"
        return Ending(relayed.status, "cut" if is_ours else relayed.ended, now_s, relayed.error or error)
    if error is not None:
        return Ending(error.http_status, "refused", now_s, error)
    return Ending(_CLIENT_CLOSED_REQUEST, "client_gone", now_s, None)
