"""
Metrics of the edge: what is counted about every finished request.

Counting is a few additions to plain dictionaries, at the end of a request. Labels are names from configuration
(gateway, provider) and closed sets; a model's name comes from clients, so its series are bounded and the rest
counts as `other`. Where the values of one gateway, provider and model are counted is looked up once and remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.record import Bill, Ending
from services.kit.errors import NarrowsError
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics, Series

if TYPE_CHECKING:
    from services.edge.stages.relay import Relayed

_REMEMBERED_MAX = 4096


class _Counted:
    """Where requests of one gateway to one model of one provider are counted."""

    __slots__ = ("duration", "first_chunk", "gateway", "model_duration", "overhead", "tokens_in", "tokens_out")

    def __init__(self, gateway: str, duration: Series) -> None:
        self.gateway = gateway
        self.duration = duration
        self.overhead: Series | None = None
        self.model_duration: Series | None = None
        self.first_chunk: Series | None = None
        self.tokens_in: Series | None = None
        self.tokens_out: Series | None = None


class EdgeMetrics:
    """Counts finished requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(MetricName.REQUESTS)
        self._duration = metrics.histogram(MetricName.REQUEST_DURATION)
        self._overhead = metrics.histogram(MetricName.OVERHEAD)
        self._errors = metrics.counter(MetricName.ERRORS)
        self._model_duration = metrics.histogram(MetricName.MODEL_DURATION)
        self._first_chunk = metrics.histogram(MetricName.MODEL_FIRST_CHUNK)
        self._tokens = metrics.histogram(MetricName.MODEL_TOKENS)
        self._cost = metrics.counter(MetricName.COST)
        self._degraded = metrics.counter(MetricName.DEGRADED)
        self._remembered: dict[tuple[str, str, str, str], _Counted] = {}

    def count_refusal(self, error: NarrowsError) -> None:
        """Something was refused before it was a request."""
        self._errors.add((str(error.code),))

    def count(self, exchange: Exchange, step: Step | None, bill: Bill, ending: Ending) -> None:
        """One finished request."""
        provider, model = (step.provider.name, step.facts.model) if step is not None else ("", "")
        counted = self._counted(exchange, provider, model)
        recalled = getattr(exchange, "recalled", None)
        cache = recalled.status if recalled is not None else ""
        self._requests.add((counted.gateway, provider, str(ending.status), ending.ended, cache))
        duration_s = ending.now_s - exchange.arrival.arrived_s
        counted.duration.observe(duration_s)
        if ending.error is not None:
            self._errors.add((str(ending.error.code),))
        for dependency in exchange.degraded:
            self._degraded.add((dependency,))
        if step is not None and hasattr(exchange, "attempted"):
            if counted.model_duration is None:
                counted.model_duration = self._model_duration.series((provider, model))
            counted.model_duration.observe(duration_s)
        relayed = getattr(exchange, "relayed", None)
        if relayed is not None:
            self._count_answer(exchange, relayed, bill, counted)

    def _counted(self, exchange: Exchange, provider: str, model: str) -> _Counted:
        resolved = getattr(exchange, "resolved", None)
        account, gateway = (resolved.gateway.account, resolved.gateway.name) if resolved is not None else ("", "")
        key = account, gateway, provider, model
        counted = self._remembered.get(key)
        if counted is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            name = f"{account}/{gateway}" if account else "unknown"
            counted = self._remembered[key] = _Counted(name, self._duration.series((name, provider)))
        return counted

    def _count_answer(self, exchange: Exchange, relayed: Relayed, bill: Bill, counted: _Counted) -> None:
        provider, facts, arrived_s = relayed.step.provider.name, relayed.step.facts, exchange.arrival.arrived_s
        if counted.overhead is None:
            counted.overhead = self._overhead.series((counted.gateway,))
        counted.overhead.observe(relayed.head_sent_s - arrived_s - exchange.provider_wait_s)
        if facts.is_stream and relayed.first_byte_s is not None:
            if counted.first_chunk is None:
                counted.first_chunk = self._first_chunk.series((provider, facts.model))
            counted.first_chunk.observe(relayed.first_byte_s - arrived_s)
        if bill.tokens_in is not None:
            if counted.tokens_in is None:
                counted.tokens_in = self._tokens.series((provider, facts.model, "input"))
            counted.tokens_in.observe(bill.tokens_in)
        if bill.tokens_out is not None:
            if counted.tokens_out is None:
                counted.tokens_out = self._tokens.series((provider, facts.model, "output"))
            counted.tokens_out.observe(bill.tokens_out)
        if bill.cost_nanodollars:
            self._cost.add((counted.gateway, provider, facts.model), bill.cost_nanodollars / 1e9)
