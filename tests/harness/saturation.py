"""
Saturation: clients that never stop asking, as those of a limit that is far too small for them.

Each client keeps one connection to one edge and asks at its own steady pace; who is kept waiting skips what it missed,
so nothing bursts after a freeze. When a connection breaks its client notes that and goes on at another edge, as a load
balancer would send it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.harness.crowd import Outcome, read_answer, written

BROKEN = 0
"""Instead of a status: the connection ended before the answer did."""
ANSWER_S_MAX = 15.0
"""An edge that is frozen for a while is waited for; one that never answers is not."""
POLL_S = 0.01


@dataclass(frozen=True)
class Answered:
    """
    One request's end: at which edge (by its number) and with which status.

    `asked_at_s`, `at_s`: when it began and ended, in monotonic seconds. `rate_limit`: that header, empty without one.
    """

    edge: int
    status: int
    asked_at_s: float
    at_s: float
    rate_limit: str = ""


class Saturation:
    """`clients[n]` of them begin at edge n; all together start `rate_per_s` requests."""

    def __init__(
        self, edges: Sequence[str], path: str, body: bytes, *, clients: Sequence[int], rate_per_s: float
    ) -> None:
        self.answers: list[Answered] = []
        self.statuses: Counter[int] = Counter()
        self._edges = [urlsplit(edge) for edge in edges]
        self._requests = [written(parts.netloc, path, body, is_last=False) for parts in self._edges]
        self._homes = [edge for edge, count in enumerate(clients) for _ in range(count)]
        self._interval_s = len(self._homes) / rate_per_s
        self._is_over = False

    async def run(self, until: Callable[[], bool]) -> None:
        """Ask until then; returns when the last answer has come."""
        async with asyncio.TaskGroup() as clients:
            for number, home in enumerate(self._homes):
                clients.create_task(self._ask_on(number, home))
            while not until():
                await asyncio.sleep(POLL_S)
            self._is_over = True

    async def _ask_on(self, number: int, edge: int) -> None:
        """One client's life."""
        starts_at_s = time.monotonic() + self._interval_s * number / len(self._homes)
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            await asyncio.sleep(starts_at_s - time.monotonic())
            if self._is_over:
                break
            asked_at_s = time.monotonic()
            starts_at_s = max(starts_at_s + self._interval_s, asked_at_s)
            try:
                connection = connection or await asyncio.open_connection(
                    self._edges[edge].hostname, self._edges[edge].port
                )
                outcome = await self._ask(edge, *connection)
                self._note(edge, asked_at_s, outcome.status, outcome.headers.get("ratelimit", ""))
            except (OSError, asyncio.IncompleteReadError):
                self._note(edge, asked_at_s, BROKEN)
                connection = _closed(connection)
                edge = self._next(edge, number)
        _closed(connection)

    async def _ask(self, edge: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
        writer.write(self._requests[edge])
        async with asyncio.timeout(ANSWER_S_MAX):
            return await read_answer(reader)

    def _note(self, edge: int, asked_at_s: float, status: int, rate_limit: str = "") -> None:
        self.answers.append(Answered(edge, status, asked_at_s, time.monotonic(), rate_limit))
        self.statuses[status] += 1

    def _next(self, edge: int, number: int) -> int:
        """Another edge; who leaves one spreads over all others."""
        return (edge + 1 + number % (len(self._edges) - 1)) % len(self._edges)


def _closed(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if connection is not None:
        connection[1].close()
