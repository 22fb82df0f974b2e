"""
Traces at a real OTLP receiver: one trace id, parents and names as designed, together and apart.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.harness.deployment import Apart, Deployment, Together
from tests.harness.http import Answer, post, request
from tests.otlp_collector import CollectedSpan, Collector

RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: full}
spec:
  cache: {ttlS: 300}
  limits: [{name: user, unit: requests, limit: 2, windowS: 3600, technique: fixed, key: [metadata.user]}]
"""
CALLER = "00f067aa0ba902b7"
CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "x"}]}
ALL = (
    "edge.request",
    "edge.admit",
    "edge.recall",
    "edge.attempt",
    "limiter.lease",
    "cache.lookup",
    "router.outcome",
    "analytics.event",
)
ANSWERED = ("edge.request", "edge.attempt", "router.outcome", "analytics.event")
WHOLE = {
    "streamed": ANSWERED,
    "missed": (*ANSWERED, "edge.recall", "cache.lookup"),
    "cached": ("edge.request", "analytics.event"),
    "limited": ("edge.request", "analytics.event"),
    "failed": ANSWERED,
}
"""What each kind of request must show at least."""
SERVICES = {"narrows-edge", "narrows-router", "narrows-limiter", "narrows-cache", "narrows-analytics"}


class Stage:
    """A Narrows that traces everything, and its collector."""

    def __init__(self, narrows: Deployment, collector: Collector) -> None:
        self.narrows = narrows
        self.collector = collector

    def ask(self, path: str, document: object, headers: dict[str, str] | None = None) -> tuple[Answer, str]:
        """A request with a caller's trace of its own; the answer and the trace id."""
        trace_id = uuid.uuid4().hex
        trace = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
        return post(f"{self.narrows.url}{path}", document, {**trace, **(headers or {})}), trace_id

    def spans(self, trace_id: str, *wanted: str) -> list[CollectedSpan]:
        """The trace, once spans of these names have come: each process sends its own, some seconds apart."""
        deadline_s = time.monotonic() + 12
        while True:
            spans = [span for span in self.collector.spans if span.trace_id == trace_id]
            if set(wanted) <= {span.name for span in spans} or time.monotonic() > deadline_s:
                return spans
            time.sleep(0.1)


@pytest.fixture(scope="module", params=["together", "apart"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        kind = Together if request.param == "together" else Apart
        with kind(folder, resources=RESOURCES, environment=environment) as narrows:
            yield Stage(narrows, collector)


def names_in_one_tree(spans: list[CollectedSpan]) -> list[str]:
    """Names of the spans; fails unless each one's parent is among them or is the caller."""
    known = {span.span_id for span in spans} | {CALLER}
    assert all(span.parent_id in known for span in spans), [(span.name, span.parent_id) for span in spans]
    return [span.name for span in spans]


def one(spans: list[CollectedSpan], name: str) -> CollectedSpan:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, f"{name}: {[span.name for span in spans]}"
    return found[0]


def test_a_first_request_on_a_fresh_bucket_and_key_shows_all_five_services(stage: Stage, measured: Measured) -> None:
    question = {"model": "simulator-small", "messages": [{"role": "user", "content": str(uuid.uuid4())}]}

    answer, trace_id = stage.ask(
        "/v1/local/full/simulator/chat/completions", question, {"cf-aig-metadata": f'{{"user": "{uuid.uuid4()}"}}'}
    )
    spans = stage.spans(trace_id, *ALL)

    assert answer.status == 200
    root = one(spans, "edge.request")
    assert root.parent_id == CALLER
    assert one(spans, "limiter.lease").parent_id == one(spans, "edge.admit").span_id
    assert one(spans, "cache.lookup").parent_id == one(spans, "edge.recall").span_id
    attempt = one(spans, "edge.attempt")
    assert {one(spans, name).parent_id for name in ("edge.admit", "edge.recall", "edge.attempt")} == {root.span_id}
    assert one(spans, "router.outcome").parent_id == attempt.span_id
    assert one(spans, "analytics.event").parent_id == root.span_id
    assert set(ALL) <= set(names_in_one_tree(spans))
    services = {span.service for span in spans} & SERVICES
    measured("services in one trace", len(services), "== 5")
    measured("provider in the attempt", int(attempt.attributes["gen_ai.provider.name"] == "simulator"), "== 1")


def test_the_provider_gets_a_traceparent_whose_parent_is_the_attempt(stage: Stage) -> None:
    session = str(uuid.uuid4())

    _, trace_id = stage.ask(
        "/v1/local/main/simulator/chat/completions", CHAT, {"x-simulator-session": session, "tracestate": "a=b"}
    )
    attempt = one(stage.spans(trace_id, "edge.attempt"), "edge.attempt")
    calls = request("GET", f"{stage.narrows.url}/v1/local/main/simulator/v1/_calls?session={session}")

    assert f"00-{trace_id}-{attempt.span_id}-01" in calls.text
    assert "a=b" in calls.text


def test_each_attempt_of_a_universal_request_is_a_span(stage: Stage) -> None:
    step = {"provider": "simulator", "endpoint": "chat/completions", "query": CHAT}
    failing = {**step, "headers": {"x-simulator-status": "503"}, "config": {"maxAttempts": 2, "retryDelay": 1}}

    answer, trace_id = stage.ask("/v1/local/main", [failing, step])
    spans = stage.spans(trace_id, "edge.request", "edge.attempt")

    attempts = [span for span in spans if span.name == "edge.attempt"]
    assert answer.status == 200
    assert [span.attributes["http.response.status_code"] for span in attempts] == [503, 503, 200]
    assert {span.parent_id for span in attempts} == {one(spans, "edge.request").span_id}


def test_streamed_cached_limited_and_failed_requests_have_whole_traces(stage: Stage, measured: Measured) -> None:
    user = {"cf-aig-metadata": f'{{"user": "{uuid.uuid4()}"}}'}
    path = "/v1/local/full/simulator/chat/completions"
    question = {"model": "simulator-small", "messages": [{"role": "user", "content": str(uuid.uuid4())}]}
    asked = {
        "streamed": stage.ask("/v1/local/main/simulator/chat/completions", {**CHAT, "stream": True}),
        "missed": stage.ask(path, question, user),
        "cached": stage.ask(path, question, user),
        "limited": stage.ask(path, question, user),
        "failed": stage.ask("/v1/local/main/simulator/chat/completions", CHAT, {"x-simulator-status": "500"}),
    }

    traces = {name: stage.spans(trace_id, *WHOLE[name]) for name, (_, trace_id) in asked.items()}

    roots = {name: one(spans, "edge.request") for name, spans in traces.items()}
    statuses = {name: root.attributes["http.response.status_code"] for name, root in roots.items()}
    assert statuses == {"streamed": 200, "missed": 200, "cached": 200, "limited": 429, "failed": 500}
    assert roots["cached"].attributes["narrows.cache.status"] == "HIT"
    whole = [name for name, spans in traces.items() if set(WHOLE[name]) <= set(names_in_one_tree(spans))]
    measured("whole traces", len(whole), "== 5")


def test_what_the_caller_does_not_sample_is_not_traced(stage: Stage) -> None:
    trace_id = uuid.uuid4().hex

    answer = post(
        f"{stage.narrows.url}/v1/local/main/simulator/chat/completions",
        CHAT,
        {"traceparent": f"00-{trace_id}-{CALLER}-00"},
    )
    time.sleep(1)

    assert answer.status == 200
    assert [span for span in stage.collector.spans if span.trace_id == trace_id] == []
