"""
Attacks: what they have in common. Each speaks to one edge and returns what did not end as stated.

An attack is a function of the edge's address; `in_a_process` runs it in a process of its own with a low priority,
so that what it costs to attack is not taken for what it does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from urllib.parse import urlsplit

import uvloop

from tests.protocol.port.raw import RawAnswer, RawClient

CHAT = "/v1/local/main/openai/chat/completions"
UNIVERSAL = "/v1/local/main"
_LOW_PRIORITY = 5


@dataclass(frozen=True)
class Edge:
    """Where the edge is."""

    url: str

    async def connect(self) -> RawClient:
        parts = urlsplit(self.url)
        return await RawClient.open(parts.hostname or "", parts.port or 80)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RawClient]:
        """A connection that is closed in the end."""
        client = await self.connect()
        try:
            yield client
        finally:
            await client.close()


@dataclass
class Result:
    """How often it was tried, and each time that it did not end as stated."""

    tried: int = 0
    faults: list[str] = field(default_factory=list)

    def note(self, fault: str) -> None:
        """One try has ended; no fault is an empty one."""
        self.tried += 1
        if fault:
            self.faults.append(fault)


Attack = Callable[[Edge], Awaitable[Result]]


def attackers() -> ProcessPoolExecutor:
    """Processes to attack from, two attacks at a time."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_stand_back)


def _stand_back() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, _LOW_PRIORITY)


async def in_a_process(executor: Executor, attack: Attack, edge: Edge) -> Result:
    """Run the attack, which must be a module's function."""
    return await asyncio.get_running_loop().run_in_executor(executor, _run, attack, edge)


def _run(attack: Attack, edge: Edge) -> Result:
    async def wait() -> Result:
        return await attack(edge)

    return uvloop.run(wait())


async def all_of(tries: Iterable[Awaitable[str]]) -> Result:
    """All at once."""
    result = Result()
    for fault in await asyncio.gather(*tries):
        result.note(fault)
    return result


async def one_after_the_other(tries: Iterable[Callable[[], Awaitable[str]]], *, at_once: int) -> Result:
    """So many at a time."""
    result, left = Result(), iter(tries)

    async def work() -> None:
        for each in left:
            result.note(await each())

    await asyncio.gather(*[work() for _ in range(at_once)])
    return result


async def expect(client: RawClient, content: bytes, status: int, *, name: str, is_closed: bool = False) -> str:
    """Write a request. The fault, if its answer is not of that status, not clear, or not the last as it should be."""
    try:
        answer = await client.ask(content)
        fault = judged(answer, status, name)
        if not fault and is_closed:
            rest = await client.ended()
            fault = f"{name}: {rest[:60]!r} behind the last answer" if rest else ""
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return f"{name}: {type(error).__name__}"
    return fault


def judged(answer: RawAnswer, status: int, name: str) -> str:
    """The fault of an answer. A refusal has a code, an id and words."""
    if answer.status != status or not answer.is_whole:
        return f"{name}: {answer.status} {answer.body[:120]!r}"
    if status >= 400:
        missing = [header for header in ("cf-aig-error-code", "cf-aig-log-id") if header not in answer]
        if missing or b"message" not in answer.body:
            return f"{name}: refused without {missing or 'words'}"
    return ""
