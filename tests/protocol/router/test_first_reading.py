"""A router that starts with resources it cannot read, as a new pod may, takes nothing away from the edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.contracts.router.values import Snapshot
from tests.harness.processes import NarrowsProcess, get_json, status_of, unused_port
from tests.protocol.router.conftest import StartRouter, edge_following, edge_with, links_to, ttl_s, until
from tests.unit.router.judging import gateway

UNREADABLE = "kind: ["
ALL = {("local", "main")}


async def test_an_edge_keeps_its_gateways_until_the_file_is_mended(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    router = await start_router(resources)
    lived: list[Snapshot] = []
    async with links_to(router.address) as links, edge_with(links, tmp_path / "edge") as edge:
        edge.subscribe(lived.append)
        await until(lambda: ttl_s(edge) == 1)

        await router.kill()
        resources.write_text(UNREADABLE)
        await router.start()
        await until(lambda: links.report.any())
        resources.write_text(gateway("main", "{cache: {ttlS: 2}}"))
        await until(lambda: ttl_s(edge) == 2)

        assert [set(snapshot.gateways) for snapshot in lived] == [ALL, ALL]


async def test_an_edge_follows_a_replica_that_has_something_to_say(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    unreadable = tmp_path / "unreadable.yaml"
    unreadable.write_text(UNREADABLE)
    routers = [await start_router(unreadable), await start_router(unreadable), await start_router(resources)]
    async with edge_following(",".join(router.address for router in routers), tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) == 1)

        resources.write_text(gateway("main", "{cache: {ttlS: 2}}"))

        await until(lambda: ttl_s(edge) == 2)


@pytest.fixture
async def command(resources: Path, tmp_path: Path) -> AsyncIterator[NarrowsProcess]:
    """`narrows run --target router`, alive, on resources that it cannot read."""
    resources.write_text(UNREADABLE)
    health = f"127.0.0.1:{unused_port()}"
    environment = {
        "NARROWS_HEALTH_ADDRESS": health,
        "NARROWS_RPC_ADDRESS": f"127.0.0.1:{unused_port()}",
        "NARROWS_DATA_DIR": str(tmp_path / "state"),
    }
    arguments = ["--target", "router", "--resources", str(resources)]
    command = NarrowsProcess("router", arguments, environment, health=health, log=tmp_path / "router.log")
    command.start()
    try:
        await until(lambda: "router listens" in command.log_tail(), within_s=20)
        yield command
    finally:
        await asyncio.to_thread(command.stop)


async def test_a_router_is_not_ready_before_it_has_read_its_resources(command: NarrowsProcess, resources: Path) -> None:
    def status() -> dict[str, Any]:
        told = get_json(f"http://{command.health}/status")
        assert isinstance(told, dict)
        return told

    before, readiness, log = status(), status_of(f"http://{command.health}/readyz"), command.log_tail()
    resources.write_text(gateway("main"))
    await until(ready(command))
    after = status()

    assert (before["ready"], before["config_version"], readiness) == (False, "", 503)
    assert before["refusals"][0]["resource"] == str(resources)
    assert "not yet: router has resources to publish" in log
    assert "nothing is published, and edges keep what they have" in log
    assert (after["ready"], after["refusals"], after["running"]) == (True, [], {})
    assert after["config_version"]


def ready(command: NarrowsProcess) -> Callable[[], bool]:
    return lambda: status_of(f"http://{command.health}/readyz") == 200
