"""
The chart in a real cluster: installed, used through the ingress, seen in Jaeger, restarted under load, removed.

It is one story in order, told on one release: each test leaves it as the next one needs it. The namespace enforces the
restricted Pod Security Standard, and the services speak mutual TLS.
"""

from __future__ import annotations

import copy
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.acceptance.measured import Measured
from tests.cluster.kubernetes import Kubernetes, Object, kubernetes
from tests.cluster.load import LIKE_A_PROVIDER, Load, Result, question
from tests.cluster.release import INGRESS, SERVICES, Release

NAME = "narrows"
CALLER = "00f067aa0ba902b7"
PROVIDER_KEY = "sk-kept-by-the-operator"
LOAD_PER_S = 15
STEADY_S = 3
"""Load before and after each restart."""
SHARED_S = 0.2
"""An answer is at every edge within 0.1 s."""
CALM = 10
CONFIG_S_MAX = 150
"""The kubelet writes a changed ConfigMap into pods within its sync period of a minute, and its cache's age."""

RESOURCES: list[Object] = [
    {"kind": "Gateway", "metadata": {"namespace": "local", "name": "main"}, "spec": {}},
    {
        "kind": "Gateway",
        "metadata": {"namespace": "local", "name": "full"},
        "spec": {
            "cache": {"ttlS": 300},
            "limits": [
                {
                    "name": "user",
                    "unit": "requests",
                    "limit": 2,
                    "windowS": 86400,
                    "technique": "fixed",
                    "key": ["metadata.user"],
                }
            ],
        },
    },
    {
        "kind": "Gateway",
        "metadata": {"namespace": "local", "name": "busy"},
        "spec": {
            "cache": {"ttlS": 300},
            "limits": [
                {
                    "name": "day",
                    "unit": "requests",
                    "limit": 1_000_000,
                    "windowS": 86400,
                    "technique": "fixed",
                    "failMode": "closed",
                }
            ],
        },
    },
    {
        "kind": "Gateway",
        "metadata": {"namespace": "local", "name": "keyed"},
        "spec": {"providers": {"simulator": {"keys": [{"alias": "default", "valueFrom": {"env": "SIMULATOR_KEY"}}]}}},
    },
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kubernetes]:
    with kubernetes() as found:
        yield found


@pytest.fixture(scope="module")
def release(cluster: Kubernetes) -> Iterator[Release]:
    repository, tag = cluster.image()
    values: Object = {
        "image": {"repository": repository, "tag": tag},
        "ingress": {"host": "narrows.example", "address": INGRESS},
        "simulator": {"enabled": True},
        "jaeger": {"enabled": True},
        "providerKeys": {"values": {"SIMULATOR_KEY": PROVIDER_KEY}},
        "resources": RESOURCES,
    }
    with cluster.namespace(NAME, {"pod-security.kubernetes.io/enforce": "restricted"}):
        found = Release(cluster, NAME, values=values)
        found.install()
        wait_for_calm(found)
        yield found


def wait_for_calm(release: Release) -> None:
    """
    Until requests in a row find limiter and cache in time, which answer within 0.1 s or not at all.

    While a dozen pods start on two cores, they may not.
    """
    calm, deadline_s = 0, time.monotonic() + 60
    while calm < CALM and time.monotonic() < deadline_s:
        answer = release.post("/v1/local/busy/simulator/chat/completions", question(str(uuid.uuid4())))
        calm = calm + 1 if answer.status == 200 and not answer.header("cf-aig-degraded") else 0


@dataclass
class Told:
    """What the tests of this file leave for those after them."""

    results: list[Result] = field(default_factory=list)


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


def test_five_services_run_and_the_line_in_the_notes_works(release: Release, measured: Measured) -> None:
    line = next(line.strip() for line in release.notes.splitlines() if line.strip().startswith("curl"))

    answered = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30)
    deployments = release.cluster.get("deployments", "--namespace", NAME)["items"]

    assert '"object":"chat.completion"' in answered.stdout, answered
    ready = {each["metadata"]["name"]: each["status"].get("readyReplicas", 0) for each in deployments}
    measured("services ready", sum(ready[f"{NAME}-{service}"] > 0 for service in SERVICES), "== 5")
    assert ready == {
        **{f"{NAME}-{each}": 1 for each in (*SERVICES, "redis", "jaeger", "simulator")},
        f"{NAME}-edge": 2,
    }


def test_requests_of_every_sort_pass_through_the_ingress(release: Release, measured: Measured) -> None:
    user = {"cf-aig-metadata": f'{{"user": "{uuid.uuid4()}"}}'}
    full = "/v1/local/full/simulator/chat/completions"
    asked = question(str(uuid.uuid4()))
    step = {"provider": "simulator", "endpoint": "chat/completions", "query": question("Hello")}

    native = release.post("/v1/local/main/simulator/chat/completions", question("Hello"))
    universal = release.post("/v1/local/main", [{**step, "headers": {"x-simulator-status": "503"}}, step])
    streamed = release.post(
        "/v1/local/main/simulator/chat/completions", question("Hello", stream=True), LIKE_A_PROVIDER
    )
    missed = release.post(full, asked, user)
    time.sleep(SHARED_S)
    cached, limited = (release.post(full, asked, user) for _ in range(2))

    answers = (native, universal, streamed, missed, cached)
    assert [answer.status for answer in answers] == [200] * 5
    assert universal.header("cf-aig-step") == "1"
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert [answer.header("cf-aig-cache-status") for answer in (missed, cached)] == ["MISS", "HIT"]
    assert cached.body == missed.body
    assert limited.status == 429
    assert (limited.header("retry-after") or "").isdigit()
    measured("sorts of requests", len((*answers, limited)), "== 6")


def test_a_stored_key_reaches_the_edges_over_mutual_tls_and_no_one_else(release: Release) -> None:
    session = str(uuid.uuid4())

    answers = [
        release.post("/v1/local/keyed/simulator/chat/completions", question("Hello"), {"x-simulator-session": session})
        for _ in range(4)
    ]
    calls = release.get(f"/v1/local/main/simulator/v1/_calls?session={session}")

    assert [answer.status for answer in answers] == [200] * 4
    assert calls.text.count(f"Bearer {PROVIDER_KEY}") == 4
    others = release.kubectl("get", "configmaps,deployments,pods", "--output", "yaml")
    assert PROVIDER_KEY not in others


def test_one_request_is_one_tree_over_five_services_in_jaeger(release: Release, measured: Measured) -> None:
    trace_id = uuid.uuid4().hex
    headers = {
        "traceparent": f"00-{trace_id}-{CALLER}-01",
        "cf-aig-metadata": f'{{"user": "{uuid.uuid4()}"}}',
    }

    answer = release.post("/v1/local/full/simulator/chat/completions", question(trace_id), headers)
    spans = release.trace(
        trace_id, "edge.request", "limiter.lease", "cache.lookup", "router.outcome", "analytics.event"
    )

    assert answer.status == 200
    ids = {span["spanID"] for span in spans}
    roots = [span["operationName"] for span in spans if span["parent"] not in ids]
    assert roots == ["edge.request"]
    assert {span["parent"] for span in spans if span["operationName"] == "edge.request"} == {CALLER}
    services = {span["service"] for span in spans}
    assert services == {f"narrows-{service}" for service in SERVICES}
    measured("services in one tree of Jaeger", len(services), "== 5")


def test_a_changed_gateway_is_live_without_a_restart(release: Release, measured: Measured) -> None:
    before = release.pods("router")
    values = copy.deepcopy(release.values)
    values["resources"].append({"kind": "Gateway", "metadata": {"namespace": "local", "name": "added"}, "spec": {}})
    path = "/v1/local/added/simulator/chat/completions"
    assert release.post(path, question("Hello")).status == 404

    release.upgrade(values)
    started_s = time.monotonic()
    while release.post(path, question("Hello")).status != 200:
        assert time.monotonic() - started_s < CONFIG_S_MAX, "not live in time"
        time.sleep(0.5)

    measured("changed ConfigMap live after s", time.monotonic() - started_s, f"<= {CONFIG_S_MAX}")
    after = release.pods("router")
    assert after.keys() == before.keys()
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in after.values())


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_fails_while_a_service_restarts(
    release: Release, told: Told, service: str, measured: Measured
) -> None:
    with Load(release, LOAD_PER_S) as load:
        time.sleep(STEADY_S)
        release.restart(service)
        time.sleep(STEADY_S)

    told.results += load.results
    degraded = sum(bool(result.degraded) for result in load.results)
    measured(f"{service} restarted: failed of {len(load.results)}", len(load.faults), "== 0")
    measured.note(f"degraded {degraded}")
    assert load.faults == []


def test_every_request_of_the_restarts_is_in_the_log_once(release: Release, told: Told, measured: Measured) -> None:
    wanted = [result.log_id for result in told.results if not result.fault]
    deadline_s = time.monotonic() + 20

    with release.admin() as admin:
        while True:
            found = [log_id for gateway in ("main", "busy") for log_id in admin.log_ids("local", gateway)]
            if set(wanted) <= set(found) or time.monotonic() > deadline_s:
                break
            time.sleep(1)

    assert wanted
    assert len(found) == len(set(found))
    measured(f"lost of {len(wanted)} logs", len(set(wanted) - set(found)), "== 0")


def test_uninstalling_leaves_nothing(release: Release, measured: Measured) -> None:
    release.uninstall()

    deadline_s = time.monotonic() + 60
    while (left := release.leftovers()) and time.monotonic() < deadline_s:
        time.sleep(1)

    assert left == []
    measured("left after helm uninstall", len(left), "== 0")
