"""
Metrics of the edge: what is counted about every finished request.

Counting is a few additions to plain dictionaries, at the end of a request. Labels are names from configuration
(gateway, provider) and closed sets; a model's name comes from clients, so its series are bounded and the rest
counts as `other`.
"""

from __future__ import annotations

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.record import Bill, Ending
from services.kit.errors import NarrowsError
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics


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

    def count_refusal(self, error: NarrowsError) -> None:
        """Something was refused before it was a request."""
        self._errors.add((str(error.code),))

    def count(self, exchange: Exchange, step: Step | None, bill: Bill, ending: Ending) -> None:
        """One finished request."""
        gateway = "unknown"
        if exchange.has("resolved"):
            gateway = f"{exchange.resolved.gateway.account}/{exchange.resolved.gateway.name}"
        provider = step.provider.name if step is not None else ""
        cache = exchange.recalled.status if exchange.has("recalled") else ""
        self._requests.add((gateway, provider, str(ending.status), ending.ended, cache))
        duration_s = ending.now_s - exchange.arrival.arrived_s
        self._duration.observe(duration_s, (gateway, provider))
        if ending.error is not None:
            self._errors.add((str(ending.error.code),))
        for dependency in exchange.degraded:
            self._degraded.add((dependency,))
        if step is not None and exchange.has("attempted"):
            self._model_duration.observe(duration_s, (provider, step.facts.model))
        if exchange.has("relayed"):
            self._count_answer(exchange, exchange.relayed.step, bill, gateway)

    def _count_answer(self, exchange: Exchange, step: Step, bill: Bill, gateway: str) -> None:
        relayed = exchange.relayed
        provider, model = step.provider.name, step.facts.model
        self._overhead.observe(relayed.head_sent_s - exchange.arrival.arrived_s - exchange.provider_wait_s, (gateway,))
        if step.facts.is_stream and relayed.first_byte_s is not None:
            self._first_chunk.observe(relayed.first_byte_s - exchange.arrival.arrived_s, (provider, model))
        if bill.tokens_in is not None:
            self._tokens.observe(bill.tokens_in, (provider, model, "input"))
        if bill.tokens_out is not None:
            self._tokens.observe(bill.tokens_out, (provider, model, "output"))
        if bill.cost_nanodollars:
            self._cost.add((gateway, provider, model), bill.cost_nanodollars / 1e9)
