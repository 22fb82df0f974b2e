"""What `/status` says of a whole Narrows."""

from __future__ import annotations

import time
from typing import Any

from tests.harness.deployment import Deployment
from tests.harness.processes import get_json

WITHIN_S = 5


def status(narrows: Deployment, service: str) -> dict[str, Any]:
    """Of the process that this service runs in."""
    process = narrows.processes.get(service) or narrows.processes["narrows"]
    told = get_json(f"http://{process.health}/status")
    assert isinstance(told, dict)
    return told


def test_the_router_says_which_version_each_edge_runs(narrows: Deployment) -> None:
    edge, router = status(narrows, "edge"), status(narrows, "router")
    wanted = {edge["instance"]: edge["config_version"]}
    deadline_s = time.monotonic() + WITHIN_S
    while versions(router) != wanted and time.monotonic() < deadline_s:
        time.sleep(0.05)
        router = status(narrows, "router")

    assert versions(router) == wanted
    assert router["config_version"] == edge["config_version"]
    assert router["running"][edge["instance"]]["heard_at"].endswith("Z")


def versions(router: dict[str, Any]) -> dict[str, str]:
    return {edge: told["config_version"] for edge, told in router["running"].items()}
