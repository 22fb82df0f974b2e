"""Parrots in processes of their own, and links to them."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest

from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.link import Link, QuietLinks
from services.kit.rpc.replicas import SYSTEM_NAMES, Caller, Naming, replicas
from tests.fakes.owner import Owner
from tests.fakes.parrot import Said, conversation

Talk = Callable[..., AbstractAsyncContextManager[QuietLinks[Said, Said]]]


class ParrotProcess:
    """A parrot on a port that it keeps, however often it is started."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.parrot_process", self.address, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        await asyncio.wait_for(self._process.stdout.readline(), 15)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """As `kill -9` does, and wait until it is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
async def parrot_process() -> AsyncIterator[ParrotProcess]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = ParrotProcess(f"127.0.0.1:{port}")
    await process.start()
    yield process
    await process.kill()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def dependencies() -> Dependencies:
    return Dependencies(clock=SystemClock())


Dial = Callable[..., Awaitable[QuietLinks[Said, Said]]]


@pytest.fixture
async def dial(owner: Owner, dependencies: Dependencies) -> AsyncIterator[Dial]:
    """Links to a target, up already, that end with the test."""
    async with AsyncExitStack() as stack:

        async def open_links(
            target: str, *, replays: bool = False, naming: Naming = SYSTEM_NAMES, **own: Any
        ) -> QuietLinks[Said, Said]:
            caller = Caller(clock=SystemClock(), random=random.random, dependencies=dependencies, **own)
            links = await stack.enter_async_context(
                replicas(conversation(replays=replays), owner, target=target, caller=caller, naming=naming)
            )
            await owner.until(lambda: links.any() is not None)
            return links

        yield open_links


def the_link(links: QuietLinks[Said, Said]) -> Link[Said]:
    """The one link there is, up or not."""
    [link] = links.all()
    return link
