from __future__ import annotations

import json

import pytest

from services.kit.health import Dependencies
from services.kit.names import StatusField
from services.kit.status import Status
from services.kit.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock


@pytest.fixture
def dependencies(clock: FakeClock) -> Dependencies:
    return Dependencies(clock=clock)


@pytest.fixture
def status(dependencies: Dependencies) -> Status:
    return Status(service="edge", services=("edge",), instance="01J", version="1.2.3", dependencies=dependencies)


def test_a_process_is_ready_when_everything_is_open(status: Status) -> None:
    assert status.reasons() == ["starting"]

    status.announce(True)
    assert status.is_ready

    status.announce(False)
    assert status.reasons() == ["stopping"]


def test_a_process_is_not_ready_without_what_it_requires(status: Status) -> None:
    snapshots: list[str] = []
    status.require("edge has a snapshot", lambda: bool(snapshots))
    status.announce(True)

    assert status.reasons() == ["not yet: edge has a snapshot"]

    snapshots.append("v1")
    assert status.is_ready


def test_a_dependency_that_is_down_is_shown_and_does_not_count(status: Status, dependencies: Dependencies) -> None:
    dependencies.report("limiter", "down")
    status.announce(True)

    assert status.is_ready
    assert status.document()["dependencies"] == {"limiter": {"state": "down", "since": "2026-09-21T14:13:20.123Z"}}


def test_status_says_who_it_is_and_what_modules_add(status: Status) -> None:
    status.add(StatusField.CONFIG_VERSION, lambda: "abc")
    status.add(StatusField.SPOOL, lambda: {"bytes": 1, "lag_s": 0.5, "dropped": 0})

    assert json.loads(status.encode()) == {
        "service": "edge",
        "services": ["edge"],
        "instance": "01J",
        "version": "1.2.3",
        "ready": False,
        "dependencies": {},
        "config_version": "abc",
        "spool": {"bytes": 1, "lag_s": 0.5, "dropped": 0},
    }


def test_what_status_says_itself_cannot_be_replaced(status: Status) -> None:
    with pytest.raises(ValueError, match="ready: /status says this itself"):
        status.add(StatusField.READY, lambda: True)


def test_metrics_say_the_same(status: Status, dependencies: Dependencies) -> None:
    metrics = Metrics()
    status.watch(metrics)
    dependencies.report("redis", "down")

    lines = metrics.render().decode().splitlines()

    assert 'narrows_build_info{instance="01J",service="edge",version="1.2.3"} 1.0' in lines
    assert 'narrows_ready{service="edge"} 0.0' in lines
    assert 'narrows_dependency_up{dependency="redis"} 0.0' in lines
