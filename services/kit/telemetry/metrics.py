"""
Metrics: sums in plain dictionaries, turned into Prometheus' text when somebody asks.

Counting happens on the request path, so it is one dictionary addition: no lock, no label object. What happens oftenest
is not even added up then: whoever counts it keeps a list, and adds it up before anything is read. That is safe
because a process counts on its event loop only; hazard: a worker thread hands what it counted to the loop.

Label values come from tuples in the order of `Metric.labels`. Each metric holds at most `series_max`
combinations; what comes after is counted under `other`, and that it happened is a metric of its own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family

from services.kit.names import Metric, MetricName

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what `render` returns."""

Labels = tuple[str, ...]
Values = dict[Labels, float]
Reading = float | Mapping[Labels, float]
"""What a watched metric reads: one number, or one for each combination of label values."""


class _Bounded:
    """Decides under which labels something is counted."""

    __slots__ = ("_overflow", "metric")

    def __init__(self, metric: Metric, overflow: Callable[[Metric], None]) -> None:
        self.metric = metric
        self._overflow = overflow

    def labels_for(self, labels: Labels, count: int) -> Labels:
        """The labels themselves while there is room; `count` combinations are known already."""
        if len(labels) != len(self.metric.labels):
            raise ValueError(f"{self.metric.name}: labels are {self.metric.labels}, got {labels!r}")
        if count < self.metric.series_max:
            return labels
        self._overflow(self.metric)
        return ("other",) * len(labels)

    def with_readings(self, values: Mapping[Labels, float], readings: Sequence[Callable[[], Reading]]) -> Values:
        """What is known and what is read now, added up."""
        total = dict(values)
        for reading in readings:
            read = reading()
            for found, value in (read if isinstance(read, Mapping) else {(): read}).items():
                labels = found if found in total else self.labels_for(found, len(total))
                total[labels] = total.get(labels, 0) + value
        return total


class Counter:
    """Goes up."""

    __slots__ = ("_bounded", "_readings", "_sums")

    def __init__(self, bounded: _Bounded) -> None:
        self._bounded = bounded
        self._sums: Values = {}
        self._readings: list[Callable[[], Reading]] = []

    def add(self, labels: Labels = (), value: float = 1) -> None:
        """Count."""
        sums = self._sums
        if labels in sums:
            sums[labels] += value
        else:
            labels = self._bounded.labels_for(labels, len(sums))
            sums[labels] = sums.get(labels, 0) + value

    def watch(self, reading: Callable[[], Reading]) -> None:
        """Take the sum from somebody who counts it anyway, when asked."""
        self._readings.append(reading)

    def value(self, labels: Labels = ()) -> float:
        """What was counted under these labels."""
        return self._sums.get(labels, 0)

    def family(self) -> Family:
        """For Prometheus."""
        metric = self._bounded.metric
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.meaning, labels=metric.labels)
        sums = self._bounded.with_readings(self._sums, self._readings)
        for labels, value in sums.items():
            family.add_metric(labels, value)
        if not metric.labels and not sums:
            family.add_metric((), 0)
        return family


class Gauge:
    """Goes up and down; set by hand, or read from a function when somebody asks."""

    __slots__ = ("_bounded", "_readings", "_values")

    def __init__(self, bounded: _Bounded) -> None:
        self._bounded = bounded
        self._values: Values = {}
        self._readings: list[Callable[[], Reading]] = []

    def set(self, value: float, labels: Labels = ()) -> None:
        """The value is this now."""
        if labels not in self._values:
            labels = self._bounded.labels_for(labels, len(self._values))
        self._values[labels] = value

    def watch(self, reading: Callable[[], Reading]) -> None:
        """Read it when asked. Several may be watched: one for each part of the process that has such a thing."""
        self._readings.append(reading)

    def family(self) -> Family:
        """For Prometheus. What several watch under the same labels is added up."""
        metric = self._bounded.metric
        family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for labels, value in self._bounded.with_readings(self._values, self._readings).items():
            family.add_metric(labels, value)
        return family


class Series:
    """Values under one combination of labels: how many in each bucket, and their sum."""

    __slots__ = ("_buckets", "counts", "total")

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._buckets, value)] += 1
        self.total += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count many: sorted, they need one look for each bucket instead of one for each value."""
        if len(values) <= len(self._buckets):
            for value in values:
                self.observe(value)
            return
        ordered, below = sorted(values), 0
        for index, bound in enumerate(self._buckets):
            reached = bisect_right(ordered, bound)
            self.counts[index] += reached - below
            below = reached
        self.counts[-1] += len(ordered) - below
        self.total += sum(ordered)


class Histogram:
    """Counts values by size, in the fixed buckets of its metric."""

    __slots__ = ("_bounded", "_buckets", "_series")

    def __init__(self, bounded: _Bounded) -> None:
        self._bounded = bounded
        self._buckets = bounded.metric.buckets
        self._series: dict[Labels, Series] = {}

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count one value."""
        self._under(labels).observe(value)

    def observe_all(self, values: Sequence[float], labels: Labels = ()) -> None:
        """Count many values; none leave no trace."""
        if values:
            self._under(labels).observe_all(values)

    def count(self, labels: Labels = ()) -> int:
        """How many values there were."""
        series = self._series.get(labels)
        return 0 if series is None else sum(series.counts)

    def family(self) -> Family:
        """For Prometheus: counts of `up to` each bound."""
        metric = self._bounded.metric
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        bounds = [*(f"{bucket:g}" for bucket in self._buckets), "+Inf"]
        for labels, series in self._series.items():
            running, buckets = 0, []
            for bound, count in zip(bounds, series.counts, strict=True):
                running += count
                buckets.append((bound, float(running)))
            family.add_metric(labels, buckets, series.total)
        return family

    def _under(self, labels: Labels) -> Series:
        series = self._series.get(labels)
        if series is None:
            labels = self._bounded.labels_for(labels, len(self._series))
            series = self._series.setdefault(labels, Series(self._buckets))
        return series


_Kind = TypeVar("_Kind", Counter, Gauge, Histogram)


class Metrics:
    """All metrics of a process. Asking twice for one gives the same, so parts of a process may share it."""

    def __init__(self) -> None:
        self._known: dict[str, Counter | Gauge | Histogram] = {}
        self._late: list[Callable[[], None]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._overflows = self.counter(MetricName.OVERFLOWS)

    def counter(self, metric: Metric) -> Counter:
        """The counter of that name."""
        return self._get(metric, Counter)

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of that name."""
        return self._get(metric, Gauge)

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of that name."""
        return self._get(metric, Histogram)

    def before_reading(self, catch_up: Callable[[], None]) -> None:
        """Call this before anything is read: somebody has not yet counted all that has happened."""
        self._late.append(catch_up)

    def collect(self) -> Iterator[Family]:
        """What Prometheus' registry asks for."""
        for catch_up in self._late:
            catch_up()
        return (known.family() for known in list(self._known.values()))

    def render(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _get(self, metric: Metric, make: type[_Kind]) -> _Kind:
        known = self._known.get(metric.name)
        if known is None:
            known = self._known[metric.name] = make(_Bounded(metric, self._overflow))
        if not isinstance(known, make):
            raise TypeError(f"{metric.name} is a {metric.kind}")
        return known

    def _overflow(self, metric: Metric) -> None:
        self._overflows.add((metric.name,))
