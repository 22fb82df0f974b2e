"""Every test here runs on both event loops, and afterwards no task, socket or connection may be left."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.tls import SessionContext, client_context
from services.kit.clock import SystemClock
from tests.fakes.authority import Authority

_SETTLE_TURNS = 200


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    sockets_before = _open_sockets()
    yield
    for _ in range(_SETTLE_TURNS):
        if len(asyncio.all_tasks()) == 1 and _open_sockets() <= sockets_before:
            return
        await asyncio.sleep(0.001)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    pytest.fail(f"left over: tasks {others}, {_open_sockets() - sockets_before} sockets")


@pytest.fixture
async def client(nothing_is_left: None, client_tls: SessionContext) -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient(clock=SystemClock(), tls=client_tls) as client:
        yield client


@pytest.fixture(scope="session")
def client_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> SessionContext:
    """Trusts the private authority besides the system's."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(authority.pem)
    return client_context(ca_files=[str(file)])


@pytest.fixture(scope="session")
def authority() -> Authority:
    """A private certificate authority."""
    return Authority()


@pytest.fixture(scope="session")
def server_tls(authority: Authority) -> ssl.SSLContext:
    """A server context for localhost and 127.0.0.1, with tickets for session reuse."""
    return authority.server_context("localhost", "127.0.0.1")


def _open_sockets() -> int:
    """How many; the loop itself has some, which are not the same ones at the end."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += str(Path(f"/proc/self/fd/{name}").readlink()).startswith("socket:")
        except OSError:
            continue
    return count
