from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from services.kit.errors import SettingsInvalid
from services.kit.telemetry.sampling import Parent, format_traceparent, parse_traceparent, sampling

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_names_a_span() -> None:
    parent = parse_traceparent(TRACEPARENT)

    assert parent == Parent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_sampled=True)
    assert parent is not None
    assert format_traceparent(parent.trace_id, parent.span_id) == TRACEPARENT


def test_a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse_traceparent("cc" + TRACEPARENT[2:] + "-what-the-future-brings") is not None


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT[:-1],
        "ff" + TRACEPARENT[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        TRACEPARENT.replace("0af7", "+af7"),
    ],
)
def test_what_is_no_traceparent_names_nothing(traceparent: str) -> None:
    assert parse_traceparent(traceparent) is None


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 0.999, 1.0])
def test_a_ratio_keeps_the_traces_that_every_other_sdk_keeps(ratio: float) -> None:
    ours, theirs = sampling("traceidratio", ratio), TraceIdRatioBased(ratio)
    randomness = random.Random(1)
    trace_ids = [randomness.getrandbits(128) for _ in range(1_000)] + [1, (1 << 64) - 1, (1 << 128) - 1]

    kept_by_ours = [ours.keeps(trace_id) for trace_id in trace_ids]
    kept_by_theirs = [
        theirs.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE for trace_id in trace_ids
    ]

    assert kept_by_ours == kept_by_theirs


@pytest.mark.parametrize(
    ("name", "is_sampled", "follows"),
    [
        ("parentbased_always_off", True, True),
        ("parentbased_always_on", False, False),
        ("always_on", False, True),
        ("always_off", True, False),
    ],
)
def test_a_parent_decides_only_where_the_sampler_asks_it(name: str, is_sampled: bool, follows: bool) -> None:
    assert sampling(name, 1.0).follows(Parent(1, 1, is_sampled)) is follows


@pytest.mark.parametrize(
    ("name", "ratio", "message"),
    [
        ("sometimes", 1.0, "OTEL_TRACES_SAMPLER: must be one of"),
        ("traceidratio", 1.5, "OTEL_TRACES_SAMPLER_ARG: must be"),
    ],
)
def test_a_sampler_that_does_not_exist_is_refused(name: str, ratio: float, message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        sampling(name, ratio)
