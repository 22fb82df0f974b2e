"""
Metrics of the edge: what is counted about every finished request.

At the end of a request one list grows by what was booked; the sums are made for many requests at once, when somebody
reads the metrics or the list is long. Labels are names from configuration (gateway, provider) and closed sets; a
model's name comes from clients, so its series are bounded and the rest counts as `other`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from services.edge.likeness import Likeness, Traits
from services.kit.errors import NarrowsError
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from services.edge.stages.settle import Settled

UNCOUNTED_MAX = 1024
"""Requests that are summed up at once: what the loop does in about a millisecond."""

_NANODOLLARS = 1_000_000_000

_COLUMNS = attrgetter(
    "duration_s",
    "overhead_s",
    "first_byte_s",
    "usage.tokens_in",
    "usage.tokens_out",
    "cost_nanodollars",
)
"""Of what was booked, what is summed up."""


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
        self._uncounted: list[Settled] = []
        metrics.before_reading(self._catch_up)

    def count_refusal(self, error: NarrowsError) -> None:
        """Something was refused before it was a request."""
        self._errors.add((str(error.code),))

    def count(self, settled: Settled) -> None:
        """One finished request."""
        uncounted = self._uncounted
        uncounted.append(settled)
        if len(uncounted) >= UNCOUNTED_MAX:
            self._catch_up()

    def _catch_up(self) -> None:
        uncounted, self._uncounted = self._uncounted, []
        alike: defaultdict[Likeness, list[Settled]] = defaultdict(list)
        for settled in uncounted:
            alike[settled.likeness].append(settled)
        for likeness, group in alike.items():
            self._count_alike(likeness.traits, group)

    def _count_alike(self, traits: Traits, group: Sequence[Settled]) -> None:
        gateway = f"{traits.account}/{traits.gateway}" if traits.account else "unknown"
        provider = traits.provider if traits.is_planned else ""
        durations, overheads, first_bytes, *bills = zip(*map(_COLUMNS, group), strict=True)
        self._requests.add((gateway, provider, str(traits.status), traits.ended, traits.cache_status), len(group))
        self._duration.observe_all(durations, (gateway, provider))
        if traits.error_code:
            self._errors.add((str(traits.error_code),), len(group))
        for dependency in filter(None, traits.degraded.split(",")):
            self._degraded.add((dependency,), len(group))
        if traits.is_attempted:
            self._model_duration.observe_all(durations, (provider, traits.model))
        if traits.ended == "refused":
            return
        self._overhead.observe_all(_known(overheads), (gateway,))
        if traits.is_stream:
            self._first_chunk.observe_all(_known(first_bytes), (provider, traits.model))
        self._count_bills((gateway, provider, traits.model), *map(_known, bills))

    def _count_bills(
        self,
        labels: tuple[str, str, str],
        tokens_in: Sequence[int],
        tokens_out: Sequence[int],
        costs_nanodollars: Sequence[int],
    ) -> None:
        _, provider, model = labels
        self._tokens.observe_all(tokens_in, (provider, model, "input"))
        self._tokens.observe_all(tokens_out, (provider, model, "output"))
        cost_nanodollars = sum(costs_nanodollars)
        if cost_nanodollars:
            self._cost.add(labels, cost_nanodollars / _NANODOLLARS)


def _known(column: Sequence[Any]) -> Sequence[Any]:
    return column if None not in column else [value for value in column if value is not None]
