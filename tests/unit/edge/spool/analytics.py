"""A session's end of Ingest that keeps what it gets and acknowledges when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from services.contracts.analytics.values import Ack, EdgeStatus, EventBatch, IngestItem, LogRow
from services.kit.rpc.link import Peer


class Shelf:
    """`Conversations` for Ingest. Sessions fail while `is_broken`, and do not acknowledge while `is_silent`."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []
        self.statuses: list[EdgeStatus] = []
        self.is_silent = False
        self.is_broken = False
        self._reply: Callable[[Ack], None] | None = None

    def open(self, peer: Peer, reply: Callable[[Ack], None]) -> Shelf:
        self._reply = reply
        return self

    async def receive(self, items: Sequence[IngestItem]) -> None:
        if self.is_broken:
            raise ConnectionResetError("the shelf fell")
        for item in items:
            if isinstance(item, EdgeStatus):
                self.statuses.append(item)
                continue
            self.batches.append(item)
            if not self.is_silent:
                self.acknowledge(item)

    async def close(self) -> None:
        self._reply = None

    def acknowledge(self, batch: EventBatch) -> None:
        assert self._reply is not None
        self._reply(Ack(edge=batch.edge, sequence=batch.sequence))

    @property
    def ids(self) -> list[str]:
        return [row.id for batch in self.batches for row in rows_of(batch)]


def rows_of(batch: EventBatch) -> list[LogRow]:
    return [msgspec.json.decode(line, type=LogRow) for line in batch.rows.splitlines()]
