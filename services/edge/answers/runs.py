"""
Run buffers, as an edge sees them: the events of a resumable stream, kept by the cache service for a while.

Appending never waits and may be lost; a run with a hole is forgotten by the service, so what is read is right or not
there. Hazard: a run's name is what parts tenants, so it is made of account, gateway and id and of nothing
that a client says alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from services.contracts.cache.values import AppendRun, CacheCall, ReadRun, RunEvents
from services.kit.rpc.link import Links

READ_S_MAX = 0.1


def run_name(account: str, gateway: str, run_id: str) -> str:
    """The run's name in the cache."""
    return f"{account}/{gateway}/{run_id}"


class RunBuffers:
    """Appends to runs and reads them. Replies come through `Answers`, which owns the links."""

    def __init__(self, *, links: Links[CacheCall], calls: Iterator[int]) -> None:
        self._links = links
        self._calls = calls
        self._reads: dict[int, asyncio.Future[RunEvents | None]] = {}

    def append(self, run: str, first_index: int, events: Sequence[bytes], *, is_end: bool) -> bool:
        """Keep these events, numbered from `first_index`; False if they were not taken."""
        link = self._links.for_key(run.encode())
        if link is None:
            return False
        return link.send(AppendRun(next(self._calls), run, first_index, tuple(events), is_end))

    async def read(self, run: str, first_index: int) -> RunEvents | None:
        """A page of events from that number on; None when the cache does not say."""
        link = self._links.for_key(run.encode())
        call = next(self._calls)
        if link is None or not link.send(ReadRun(call, run, first_index), key=call, deadline_s=READ_S_MAX):
            return None
        answered: asyncio.Future[RunEvents | None] = asyncio.get_running_loop().create_future()
        self._reads[call] = answered
        try:
            return await answered
        finally:
            del self._reads[call]
            link.forget(call)

    def answered(self, events: RunEvents) -> None:
        """A reply has come."""
        self._settle(events.call, events)

    def gave_up(self, call: int) -> None:
        """No reply will come."""
        self._settle(call, None)

    def _settle(self, call: int, events: RunEvents | None) -> None:
        waiting = self._reads.get(call)
        if waiting is not None and not waiting.done():
            waiting.set_result(events)
