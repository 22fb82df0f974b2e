from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.kit.errors import SettingsInvalid
from services.kit.health import Dependencies
from services.kit.health_server import health_server
from services.kit.kinds import Address
from services.kit.status import Status
from services.kit.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock

ANY_PORT = Address("127.0.0.1", 0)


@pytest.fixture
def status(clock: FakeClock) -> Status:
    return Status(
        service="edge", services=("edge",), instance="01J", version="1", dependencies=Dependencies(clock=clock)
    )


@pytest.fixture
async def client(status: Status) -> AsyncIterator[aiohttp.ClientSession]:
    metrics = Metrics()
    status.watch(metrics)
    async with (
        health_server(ANY_PORT, status=status, metrics=metrics) as address,
        aiohttp.ClientSession(f"http://{address}") as session,
    ):
        yield session


async def test_a_process_that_starts_is_alive_and_not_ready(client: aiohttp.ClientSession) -> None:
    async with client.get("/livez") as alive, client.get("/readyz") as ready:
        assert alive.status == 200
        assert ready.status == 503
        assert await ready.json() == {"ready": False, "reasons": ["starting"]}


async def test_a_process_that_is_open_is_ready(client: aiohttp.ClientSession, status: Status) -> None:
    status.announce(True)

    async with client.get("/readyz") as ready:
        assert ready.status == 200
        assert await ready.json() == {"ready": True, "reasons": []}


async def test_metrics_are_in_the_text_format(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'narrows_ready{service="edge"} 0.0' in await answer.text()


async def test_status_is_json(client: aiohttp.ClientSession) -> None:
    async with client.get("/status") as answer:
        assert (await answer.json())["instance"] == "01J"


async def test_an_address_that_is_taken_is_refused_by_its_setting(status: Status) -> None:
    async with health_server(ANY_PORT, status=status, metrics=Metrics()) as taken:
        with pytest.raises(SettingsInvalid, match=f"NARROWS_HEALTH_ADDRESS: cannot listen on {taken}"):
            async with health_server(taken, status=status, metrics=Metrics()):
                pass
