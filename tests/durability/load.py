"""
Load: numbered requests over several edges, for as long as a test wants, while processes die around it.

Edges take turns. A request that an edge refuses to take, because nobody listens there, goes to the next one, as a
load balancer would send it; one that breaks off is noted as broken and not asked again. Times are monotonic seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.harness.crowd import Outcome, ask

NOBODY_LISTENS = "ConnectionRefusedError"
STOP_S = 90.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to send as request `number` to any edge."""

    path: str
    document: dict[str, object]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that an edge took. `status` 0: it broke off."""

    number: int
    edge: int
    started_s: float
    ended_s: float
    status: int


class Load:
    """Asks from a thread of its own between entering and leaving."""

    def __init__(
        self, edges: Sequence[str], request: Callable[[int, int], Request], *, at_once: int, first: int = 1
    ) -> None:
        self._edges = edges
        self._request = request
        self._at_once = at_once
        self._numbers = itertools.count(first)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.asked: list[Asked] = []
        self.finished_count = 0
        """Answered with 200, to the end."""

    def wait_for(self, finished_count: int, *, timeout_s: float) -> None:
        """Returns when so many have finished."""
        deadline_s = time.monotonic() + timeout_s
        while self.finished_count < finished_count:
            assert self._thread.is_alive(), "the load has broken down"
            assert time.monotonic() < deadline_s, f"{self.finished_count} finished in {timeout_s} s"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(STOP_S)
        assert not self._thread.is_alive(), f"requests were still going on {STOP_S:g} s after the last one began"

    async def _run(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(self._at_once)))

    async def _work(self) -> None:
        while not self._is_over.is_set():
            number = next(self._numbers)
            for turn in range(len(self._edges)):
                if await self._is_taken(number, (number + turn) % len(self._edges)):
                    break

    async def _is_taken(self, number: int, edge: int) -> bool:
        request = self._request(number, edge)
        started_s = time.monotonic()
        outcome: Outcome = await ask(self._edges[edge] + request.path, request.document, request.headers)
        if outcome.error.startswith(NOBODY_LISTENS):
            return False
        self.asked.append(Asked(number, edge, started_s, time.monotonic(), outcome.status))
        self.finished_count += outcome.status == 200
        return True
