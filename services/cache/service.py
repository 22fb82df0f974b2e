"""
The cache's side of `Exchange`: one session for each edge's stream.

A session brings each call to where it belongs: lookups and fills to `Fills`, runs to the run store. All sessions
of a replica share one `Fills`: that is how requests at different edges join. When a stream ends, everything its edge
had under way ends with it: its fills fail over to those who wait, its joiners leave.

`run` holds leases and looks at who is silent; the module runs it beside the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from services.cache.counts import Counts
from services.cache.fills import Fills
from services.cache.keeper import StoreKeeper
from services.cache.limits import Limits
from services.cache.run_keeper import RunKeeper
from services.cache.store.answers import AnswerStore
from services.cache.store.runs import RunStore
from services.cache.stream import Caller, Stream
from services.contracts.cache.values import (
    AppendRun,
    CacheCall,
    CacheReply,
    FillChunks,
    FillEnd,
    FillHead,
    FillWhole,
    Leave,
    Lookup,
    ReadRun,
)
from services.kit.clock import Clock
from services.kit.names import SpanName
from services.kit.rpc.link import Peer, Session
from services.kit.telemetry.tracing import Tracer


class CacheService:
    """`Conversations` of the cache. `owner` names this replica in leases and must be its own."""

    def __init__(
        self,
        *,
        answers: AnswerStore,
        runs: RunStore,
        owner: str,
        clock: Clock,
        tracer: Tracer,
        tasks: asyncio.TaskGroup,
        limits: Limits | None = None,
    ) -> None:
        self.counts = Counts()
        self._limits = limits or Limits()
        self._keeper = StoreKeeper(store=answers, owner=owner, tasks=tasks, limits=self._limits, counts=self.counts)
        self.fills = Fills(keeper=self._keeper, clock=clock, limits=self._limits, counts=self.counts)
        self._runs = RunKeeper(store=runs, limits=self._limits)
        self._clock = clock
        self._tracer = tracer
        self._held_up: dict[Stream, None] = {}
        self._is_held_up = asyncio.Event()

    def open(self, peer: Peer, reply: Callable[[CacheReply], None]) -> Session[CacheCall]:
        """A session for one edge's stream."""
        stream = Stream(reply=reply, clock=self._clock, limits=self._limits, held_up=self._hold_up)
        return CacheSession(stream, fills=self.fills, runs=self._runs, tracer=self._tracer, limits=self._limits)

    async def run(self) -> None:
        """Everything that time brings, for as long as the caller's task lives."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._renew_leases())
            tasks.create_task(self._send_waiting_hits())
            tasks.create_task(self._runs.run())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            self.fills.tick()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._limits.lease_renewal_s)
            leased = self.fills.leased()
            if leased:
                await self._keeper.renew(leased, self.fills.lease_lost)

    async def _send_waiting_hits(self) -> None:
        while True:
            await self._is_held_up.wait()
            self._is_held_up.clear()
            await asyncio.sleep(self._limits.hit_pause_s)
            streams, self._held_up = self._held_up, {}
            for stream in streams:
                stream.send_waiting()

    def _hold_up(self, stream: Stream) -> None:
        self._held_up[stream] = None
        self._is_held_up.set()


class CacheSession:
    """One edge's stream."""

    def __init__(self, stream: Stream, *, fills: Fills, runs: RunKeeper, tracer: Tracer, limits: Limits) -> None:
        self._stream = stream
        self._fills = fills
        self._runs = runs
        self._tracer = tracer
        self._limits = limits
        self._takers: dict[type[CacheCall], Callable[[Any], None]] = {
            FillChunks: self._chunks,
            Lookup: self._look_up,
            FillHead: self._head,
            FillEnd: self._end,
            FillWhole: self._fill,
            Leave: self._leave,
            AppendRun: runs.append,
            ReadRun: self._read_run,
        }

    async def receive(self, items: Sequence[CacheCall]) -> None:
        """See `Session`. Nothing is awaited: a slow store holds up its own answers and nothing else."""
        takers = self._takers
        for item in items:
            takers[type(item)](item)
        self._fills.flush()

    async def close(self) -> None:
        """See `Session`."""
        self._fills.leave_together(list(self._stream.callers.values()))

    def _look_up(self, item: Lookup) -> None:
        stream = self._stream
        caller = Caller(item.call, item.key, entry_bytes_max=item.entry_bytes_max, stream=stream)
        if item.traceparent:
            caller.span = self._tracer.start(SpanName.LOOKUP, parent=item.traceparent, kind="server")
        if len(stream.callers) >= self._limits.calls_max or item.call in stream.callers:
            stream.miss(caller, is_degraded=True)
            return
        stream.callers[item.call] = caller
        self._fills.look_up(caller)

    def _head(self, item: FillHead) -> None:
        caller = self._stream.callers.get(item.call)
        if caller is not None:
            self._begin_fill(caller, item.traceparent)
            self._fills.head(caller, item)

    def _begin_fill(self, caller: Caller, traceparent: str) -> None:
        if traceparent:
            caller.end_span("gone")
            caller.span = self._tracer.start(SpanName.FILL, parent=traceparent, kind="server")

    def _chunks(self, item: FillChunks) -> None:
        caller = self._stream.callers.get(item.call)
        if caller is not None:
            self._fills.chunks(caller, item.chunks)

    def _end(self, item: FillEnd) -> None:
        caller = self._stream.callers.get(item.call)
        if caller is not None:
            caller.end_span(item.outcome)
            self._fills.end(caller, item.outcome, item.facts)

    def _fill(self, item: FillWhole) -> None:
        caller = self._stream.callers.get(item.call)
        if caller is not None:
            self._begin_fill(caller, item.traceparent)
            caller.end_span("whole")
            self._fills.whole(caller, item)

    def _leave(self, item: Leave) -> None:
        caller = self._stream.callers.get(item.call)
        if caller is not None:
            self._fills.leave(caller)

    def _read_run(self, item: ReadRun) -> None:
        self._runs.read(item, self._stream.reply)
