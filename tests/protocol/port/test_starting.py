"""
Starting: an edge is ready once it knows of each of its services whether it is there, and not much later.

Its first requests are looked up, leased and traced as the later ones are; one that is not there costs the start three
seconds and no more.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.app import TRY_S_MAX
from services.contracts.analytics.conversation import INGEST
from services.kit.rpc.server import RpcServer
from tests.harness.processes import NarrowsProcess, get_json, status_of, unused_port
from tests.unit.edge.spool.analytics import Shelf
from tests.unit.router.judging import gateway

STARTED_S = 15.0
MARGIN_S = 1.0


class Starting:
    """An edge process that has just been started, with an analytics at some address."""

    def __init__(self, folder: Path, analytics: str) -> None:
        resources = folder / "resources.yaml"
        resources.write_text(gateway("main"))
        health = f"127.0.0.1:{unused_port()}"
        environment = {
            "NARROWS_DATA_ADDRESS": f"127.0.0.1:{unused_port()}",
            "NARROWS_HEALTH_ADDRESS": health,
            "NARROWS_DATA_DIR": str(folder / "state"),
            "NARROWS_ANALYTICS": analytics,
        }
        arguments = ["--target", "edge", "--resources", str(resources)]
        self.process = NarrowsProcess("edge", arguments, environment, health=health, log=folder / "edge.log")

    async def until(self, is_true: Callable[[], bool]) -> float:
        """When it was true for the first time."""
        deadline_s = time.monotonic() + STARTED_S
        while not is_true():
            assert time.monotonic() < deadline_s, self.process.log_tail()
            await asyncio.sleep(0.02)
        return time.monotonic()

    def is_listening(self) -> bool:
        """Everything is open; whether that is enough is another question."""
        return "edge listens" in self.process.log_tail()

    def is_ready(self) -> bool:
        return status_of(f"http://{self.process.health}/readyz") == 200

    async def analytics_state(self) -> str:
        """What `/status` says of analytics."""
        told: Any = await asyncio.to_thread(get_json, f"http://{self.process.health}/status")
        return str(told["dependencies"]["analytics"]["state"])


@asynccontextmanager
async def started(folder: Path, analytics: str) -> AsyncIterator[Starting]:
    starting = Starting(folder, analytics)
    starting.process.start()
    try:
        yield starting
    finally:
        await asyncio.to_thread(starting.process.stop)


async def test_an_edge_is_ready_when_its_service_stands(tmp_path: Path) -> None:
    server = RpcServer("127.0.0.1:0")
    server.add(INGEST, Shelf())
    async with server, started(tmp_path, f"127.0.0.1:{server.port}") as starting:
        await asyncio.to_thread(starting.process.wait_until_ready)

        assert await starting.analytics_state() == "up"


async def test_an_edge_is_ready_without_a_service_that_refuses(tmp_path: Path) -> None:
    async with started(tmp_path, f"127.0.0.1:{unused_port()}") as starting:
        await asyncio.to_thread(starting.process.wait_until_ready)

        assert await starting.analytics_state() == "down"


async def test_an_edge_is_ready_soon_though_its_service_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        async with started(tmp_path, f"127.0.0.1:{frozen.getsockname()[1]}") as starting:
            listening_at_s = await starting.until(starting.is_listening)
            ready_at_s = await starting.until(starting.is_ready)

            assert await starting.analytics_state() == "down"
            assert "not yet: edge has tried its services" in starting.process.log_tail()
            assert ready_at_s - listening_at_s < TRY_S_MAX + MARGIN_S
