"""
Tails: rows as they are stored, for people who watch.

Nobody who watches can hold up what is stored: each tail keeps a bounded number of lines and counts what it missed. Rows
are decoded only while somebody watches their gateway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

import msgspec

from services.analytics.shown import shown_log
from services.contracts.analytics.values import EventBatch, LogRow, TailRequest, TailRows
from services.kit.errors import Overloaded

TAILS_MAX = 64
LINES_MAX = 2_000

_decode_row = msgspec.json.Decoder(LogRow).decode


class Tails:
    """Everyone who watches."""

    def __init__(self) -> None:
        self._tails: set[_Tail] = set()

    def publish(self, batch: EventBatch) -> None:
        """A batch was stored."""
        if not self._tails:
            return
        watched = {tail.gateway for tail in self._tails}
        for line in batch.rows.splitlines():
            row = _decoded(line)
            if row is not None and (row.account, row.gateway) in watched:
                self._deliver(row)

    async def follow(self, request: TailRequest) -> AsyncGenerator[TailRows, None]:
        """Rows of one gateway from now on. Raises Overloaded."""
        if len(self._tails) >= TAILS_MAX:
            raise Overloaded(f"too many tails: at most {TAILS_MAX}", retry_after_s=5)
        tail = _Tail((request.account, request.gateway))
        self._tails.add(tail)
        try:
            while True:
                yield await tail.next()
        finally:
            self._tails.discard(tail)

    def _deliver(self, row: LogRow) -> None:
        line = msgspec.json.encode(shown_log(row))
        for tail in self._tails:
            if tail.gateway == (row.account, row.gateway):
                tail.put(line)


class _Tail:
    """One who watches."""

    def __init__(self, gateway: tuple[str, str]) -> None:
        self.gateway = gateway
        self._lines: deque[bytes] = deque()
        self._dropped_count = 0
        self._arrived = asyncio.Event()

    def put(self, line: bytes) -> None:
        if len(self._lines) >= LINES_MAX:
            self._lines.popleft()
            self._dropped_count += 1
        self._lines.append(line)
        self._arrived.set()

    async def next(self) -> TailRows:
        await self._arrived.wait()
        self._arrived.clear()
        rows = b"\n".join([*self._lines, b""])
        self._lines.clear()
        return TailRows(rows=rows, dropped_count=self._dropped_count)


def _decoded(line: bytes) -> LogRow | None:
    """A row of this or an earlier version of the columns; None for what is none."""
    try:
        return _decode_row(line)
    except msgspec.DecodeError:
        return None
