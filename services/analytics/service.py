"""
Analytics as the others see it: Ingest conversations, and questions about logs.

A session hands batches to the one queue of inserts and is told when they are stored. Nothing here waits for the store
while an edge's stream is being read, except when the queue is full.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from services.analytics.edges import Edges
from services.analytics.inserts import Inserts
from services.analytics.store.logs import LogStore
from services.analytics.tails import Tails
from services.contracts.analytics.values import (
    Ack,
    EdgeStatus,
    IngestItem,
    LogPage,
    LogQuery,
    TailRequest,
    TailRows,
)
from services.kit.rpc.link import Peer


class AnalyticsService:
    """`Conversations` of Ingest, and a `LogReader`."""

    def __init__(self, *, store: LogStore, inserts: Inserts, tails: Tails, edges: Edges) -> None:
        self._store = store
        self._inserts = inserts
        self._tails = tails
        self._edges = edges

    def open(self, peer: Peer, reply: Callable[[Ack], None]) -> IngestSession:
        """One edge's stream."""
        return IngestSession(inserts=self._inserts, edges=self._edges, reply=reply)

    async def query(self, query: LogQuery) -> LogPage:
        """One page of logs. Raises QueryInvalid, DependencyUnavailable."""
        return await self._store.query(query)

    def tail(self, request: TailRequest) -> AsyncGenerator[TailRows, None]:
        """Rows of one gateway from now on, until the caller stops reading. Raises Overloaded."""
        return self._tails.follow(request)


class IngestSession:
    """One edge's end of Ingest."""

    def __init__(self, *, inserts: Inserts, edges: Edges, reply: Callable[[Ack], None]) -> None:
        self._inserts = inserts
        self._edges = edges
        self._reply = reply
        self._is_closed = False

    async def receive(self, items: Sequence[IngestItem]) -> None:
        """Batches wait for the store, statuses are noted at once."""
        for item in items:
            if isinstance(item, EdgeStatus):
                self._edges.note(item)
            else:
                await self._inserts.put(item, self._acknowledge)

    async def close(self) -> None:
        """The stream is gone. Its batches are stored all the same; the edge will send them again and hear of it."""
        self._is_closed = True

    def _acknowledge(self, ack: Ack) -> None:
        if not self._is_closed:
            self._reply(ack)
