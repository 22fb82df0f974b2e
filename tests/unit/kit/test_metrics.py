from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.names import Metric, MetricName, every_metric
from services.kit.telemetry.metrics import Metrics

SMALL = Metric("narrows_small_total", "counter", "Few series.", ("who",), series_max=2)


def rendered(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_a_counter_adds_up_under_its_labels() -> None:
    metrics = Metrics()
    counter = metrics.counter(MetricName.ERRORS)

    counter.add(("2012",))
    counter.add(("2012",), 2)

    assert 'narrows_errors_total{code="2012"} 3.0' in rendered(metrics)


def test_a_counter_without_labels_is_there_before_anything_was_counted() -> None:
    metrics = Metrics()
    metrics.counter(MetricName.SPOOL_DROPPED)

    assert "narrows_spool_dropped_total 0.0" in rendered(metrics)


def test_a_histogram_counts_a_value_in_every_bucket_that_holds_it() -> None:
    metrics = Metrics()

    metrics.histogram(MetricName.OVERHEAD).observe(0.0003, ("local/main",))

    lines = rendered(metrics)
    assert 'narrows_overhead_seconds_bucket{gateway="local/main",le="0.00025"} 0.0' in lines
    assert 'narrows_overhead_seconds_bucket{gateway="local/main",le="0.0005"} 1.0' in lines
    assert 'narrows_overhead_seconds_bucket{gateway="local/main",le="+Inf"} 1.0' in lines
    assert 'narrows_overhead_seconds_sum{gateway="local/main"} 0.0003' in lines


def test_a_value_on_a_bound_belongs_to_that_bucket() -> None:
    metrics = Metrics()

    metrics.histogram(MetricName.OVERHEAD).observe(0.0005, ("g",))

    assert 'narrows_overhead_seconds_bucket{gateway="g",le="0.0005"} 1.0' in rendered(metrics)


def test_a_watched_gauge_is_read_when_asked() -> None:
    metrics = Metrics()
    open_connections = [1, 2]
    metrics.gauge(MetricName.CONNECTIONS).watch(lambda: len(open_connections))

    open_connections.append(3)

    assert "narrows_connections 3.0" in rendered(metrics)


def test_two_parts_of_a_process_that_watch_one_gauge_are_added_up() -> None:
    metrics = Metrics()
    metrics.gauge(MetricName.STREAMS).watch(lambda: {("router",): 1, ("cache",): 2})
    metrics.gauge(MetricName.STREAMS).watch(lambda: {("router",): 1})

    assert 'narrows_rpc_streams{dependency="router"} 2.0' in rendered(metrics)


def test_more_series_than_a_metric_may_hold_are_counted_under_other() -> None:
    metrics = Metrics()
    counter = metrics.counter(SMALL)
    for who in ("a", "b", "c", "d", "a"):
        counter.add((who,))

    lines = rendered(metrics)

    assert 'narrows_small_total{who="a"} 2.0' in lines
    assert 'narrows_small_total{who="other"} 2.0' in lines
    assert 'narrows_metric_overflows_total{metric="narrows_small_total"} 2.0' in lines


def test_labels_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ValueError, match="narrows_errors_total: labels are"):
        Metrics().counter(MetricName.ERRORS).add(("2012", "too many"))


def test_asking_twice_for_a_metric_gives_the_same() -> None:
    metrics = Metrics()

    assert metrics.counter(MetricName.ERRORS) is metrics.counter(MetricName.ERRORS)


def test_a_label_value_cannot_break_out_of_its_quotes() -> None:
    metrics = Metrics()
    metrics.counter(SMALL).add(('x"} 1\n',))

    assert 'narrows_small_total{who="x\\"} 1\\n"} 1.0' in rendered(metrics)


@pytest.mark.parametrize("metric", list(every_metric()), ids=lambda metric: metric.name)
def test_every_metric_of_the_table_can_be_counted_and_is_named_by_its_kind(metric: Metric) -> None:
    metrics = Metrics()
    labels = tuple("x" for _ in metric.labels)
    match metric.kind:
        case "counter":
            metrics.counter(metric).add(labels)
        case "gauge":
            metrics.gauge(metric).set(1, labels)
        case "histogram":
            metrics.histogram(metric).observe(1, labels)

    text = metrics.render().decode()

    assert f"# TYPE {metric.name} {metric.kind}" in text
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")


@given(values=st.lists(st.sampled_from((0.0, 0.0001, 0.0005, 0.00051, 0.01, 1.0, 7.0, 1e9)), min_size=1, max_size=80))
def test_many_values_count_as_one_after_the_other(values: list[float]) -> None:
    at_once, singly = Metrics(), Metrics()

    at_once.histogram(MetricName.OVERHEAD).observe_all(values, ("g",))
    for value in values:
        singly.histogram(MetricName.OVERHEAD).observe(value, ("g",))

    assert _without_sums(at_once) == _without_sums(singly)


def test_what_is_counted_late_is_counted_before_it_is_read() -> None:
    metrics = Metrics()
    late = [3, 4]

    metrics.before_reading(lambda: metrics.counter(MetricName.SPOOL_DROPPED).add(value=late.pop() if late else 0))

    assert "narrows_spool_dropped_total 4.0" in rendered(metrics)
    assert "narrows_spool_dropped_total 7.0" in rendered(metrics)


def _without_sums(metrics: Metrics) -> list[str]:
    """Sums of the same numbers in another order differ in their last digit."""
    return [line for line in rendered(metrics) if "_sum" not in line]
