"""Routers in processes of their own, and edges that follow them."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from services.contracts.router.conversation import REPORT, WATCH
from services.edge.configuration.configuration import Configuration, RouterLinks
from services.edge.configuration.module import ConfigurationSettings, edge_configuration
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.replicas import Caller, replicas
from services.kit.telemetry.metrics import Metrics
from tests.unit.router.judging import gateway

CLOCK = SystemClock()


class RouterProcess:
    """A router on a port that it keeps, however often it is started."""

    def __init__(self, resources: Path) -> None:
        self.resources = resources
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.protocol.router.router_process",
            self.address,
            str(self.resources),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(await asyncio.wait_for(self._process.stdout.readline(), 20))

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """As `kill -9` does, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


StartRouter = Callable[[Path], Awaitable[RouterProcess]]


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    path = tmp_path / "resources.yaml"
    path.write_text(gateway("main", "{cache: {ttlS: 1}}"))
    return path


@pytest.fixture
async def start_router() -> AsyncIterator[StartRouter]:
    async with AsyncExitStack() as stack:

        async def start(resources: Path) -> RouterProcess:
            router = RouterProcess(resources)
            stack.push_async_callback(router.kill)
            await router.start()
            return router

        yield start


@asynccontextmanager
async def links_to(target: str) -> AsyncIterator[RouterLinks]:
    """The links of an edge that reaches its router, or routers, over gRPC."""
    caller = Caller(clock=CLOCK, random=random.random, dependencies=Dependencies(clock=CLOCK))
    async with (
        replicas(WATCH, target=target, caller=caller) as watch,
        replicas(REPORT, target=target, caller=caller) as report,
    ):
        yield RouterLinks(watch, report)


def edge_with(links: RouterLinks, folder: Path) -> AbstractAsyncContextManager[Configuration]:
    """An edge with those links."""
    settings = ConfigurationSettings(folder)
    return edge_configuration(edge="edge-1", links=links, settings=settings, clock=CLOCK, metrics=Metrics())


@asynccontextmanager
async def edge_following(target: str, folder: Path) -> AsyncIterator[Configuration]:
    """An edge with links to that target."""
    async with links_to(target) as links, edge_with(links, folder) as configuration:
        yield configuration


async def until(is_so: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.005)


def ttl_s(configuration: Configuration) -> int | None:
    """By which tests tell one version of the gateway `local/main` from another."""
    found = configuration.gateway("local", "main")
    return None if found is None else found.cache.ttl_s
