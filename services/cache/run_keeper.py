"""
The keeper of runs: brings events of resumable streams to the run store, in order, as batches.

One task does all the waiting: what comes while a batch is written leaves as the next one. So an append is known to be
stored when a read that came after it is answered. Hazard: what is over the bound, or comes while the store is out of
reach, is dropped; the hole it leaves makes the store forget the run at its next append.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.cache.limits import Limits
from services.cache.store.runs import RunAppend, RunStore
from services.contracts.cache.values import AppendRun, CacheReply, ReadRun, RunEvents
from services.kit.errors import DependencyUnavailable

READS_MAX = 1024
"""Reads that wait; beyond it a run is unknown."""


class RunKeeper:
    """A run store, for sessions, which do not wait."""

    def __init__(self, *, store: RunStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._appends: list[RunAppend] = []
        self._waiting_bytes = 0
        self._reads: list[tuple[ReadRun, Callable[[CacheReply], None]]] = []
        self._wake = asyncio.Event()

    def append(self, item: AppendRun) -> None:
        """Store these events soon, or not at all."""
        size_bytes = sum(map(len, item.events))
        if self._waiting_bytes + size_bytes <= self._limits.run_bytes_max:
            self._waiting_bytes += size_bytes
            self._appends.append(RunAppend(item.run, item.first_index, item.events, item.is_end))
            self._wake.set()

    def read(self, item: ReadRun, reply: Callable[[CacheReply], None]) -> None:
        """Reply with a page of events, after what was appended before."""
        if len(self._reads) >= READS_MAX:
            reply(_unknown(item))
            return
        self._reads.append((item, reply))
        self._wake.set()

    async def run(self) -> None:
        """Write and read, for as long as the caller's task lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            appends, self._appends = self._appends, []
            self._waiting_bytes = 0
            reads, self._reads = self._reads, []
            if appends:
                await self._write(appends)
            for item, reply in reads:
                reply(await self._page(item))

    async def _write(self, appends: list[RunAppend]) -> None:
        try:
            await self._store.append(appends)
        except DependencyUnavailable:
            return

    async def _page(self, item: ReadRun) -> RunEvents:
        try:
            page = await self._store.read(item.run, item.first_index)
        except DependencyUnavailable:
            return _unknown(item)
        if page is None:
            return _unknown(item)
        return RunEvents(item.call, item.first_index, page.events, page.is_end)


def _unknown(item: ReadRun) -> RunEvents:
    return RunEvents(item.call, item.first_index, (), is_end=False, is_unknown=True)
