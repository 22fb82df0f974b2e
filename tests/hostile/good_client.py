"""
The good client: asks at a steady rate, whatever is going on beside it.

Open loop: a request begins when it is due, on a free connection or a new one, and its time counts from then on, so that
a gateway which stands still for a while is late with all that was due meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.protocol.port.raw import RawClient, post

TIMEOUT_S = 10.0
REST_S = 20.0
"""A connection that has rested longer may be closed any moment."""


@dataclass
class GoodClient:
    """Asks `url`. `times` holds (began, took) of each request in monotonic seconds; `faults` what was no 200."""

    url: str
    per_s: float
    times: list[tuple[float, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def p99_ms(self, since_s: float, until_s: float) -> float:
        """The time that 99 in 100 of the requests begun then stayed below."""
        took = sorted(took_s for began_s, took_s in self.times if since_s <= began_s < until_s)
        assert len(took) >= 100, f"{len(took)} requests are too few to tell"
        return took[len(took) * 99 // 100] * 1000

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Asks all the while."""
        free: list[tuple[float, RawClient]] = []
        async with asyncio.TaskGroup() as tasks:
            pacing = tasks.create_task(self._pace(tasks, free))
            yield
            pacing.cancel()
        for _, client in free:
            await client.close()

    async def _pace(self, tasks: asyncio.TaskGroup, free: list[tuple[float, RawClient]]) -> None:
        parts = urlsplit(self.url)
        due_s = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            tasks.create_task(self._ask(free, parts.hostname or "", parts.port or 80, parts.path, due_s))
            due_s += 1 / self.per_s

    async def _ask(self, free: list[tuple[float, RawClient]], host: str, port: int, path: str, due_s: float) -> None:
        content = post(path, b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
        try:
            async with asyncio.timeout(TIMEOUT_S):
                rested_s, client = free.pop() if free else (0.0, None)
                if client is not None and time.monotonic() - rested_s > REST_S:
                    await client.close()
                    client = None
                client = client or await RawClient.open(host, port)
                answer = await client.ask(content)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.faults.append(type(error).__name__)
            return
        self.times.append((due_s, time.monotonic() - due_s))
        if answer.status == 200 and answer.is_whole and "cf-aig-degraded" not in answer:
            free.append((time.monotonic(), client))
        else:
            self.faults.append(f"{answer.status} {answer.body[:200]!r} {answer.get('cf-aig-degraded') or ''}")
            await client.close()
