"""A log store that a test can take down, and that remembers what it was given."""

from __future__ import annotations

import asyncio

from services.analytics.store.logs import BatchRefused, StoredBody
from services.contracts.analytics.values import EventBatch, LogPage, LogQuery
from services.kit.errors import DependencyUnavailable


class SwitchedStore:
    """`LogStore` for the inserting side only."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []
        self.tries = 0
        self.is_down = False
        self.refuses: set[int] = set()
        self.failure: Exception | None = None
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def insert(self, batch: EventBatch) -> None:
        self.tries += 1
        await self.is_open.wait()
        if self.is_down:
            raise DependencyUnavailable("switched off")
        if batch.sequence in self.refuses:
            raise BatchRefused("CANNOT_PARSE_INPUT (27)")
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)

    async def query(self, query: LogQuery) -> LogPage:
        return LogPage((), 0)

    async def log(self, account: str, gateway: str, log_id: str) -> dict[str, object] | None:
        return None

    async def body(self, account: str, gateway: str, log_id: str) -> StoredBody | None:
        return None
