"""
Spool: where the request path leaves the row of a finished request.

`append` costs a list operation. What came within 10 ms, or what would fill a batch, is encoded and written to the
journal in one go, so a finished request survives the edge's death at most 20 ms later. Writes collect into batches; a
closed batch keeps its id and bounds for ever: it is what is sent, stored and, after a crash, sent again.

Hazard: rows and bodies are written as they are. Whoever appends has stripped secrets and bounded the bodies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from services.contracts.analytics.values import Ack, Columns, IngestItem
from services.edge.spool.batches import BATCH_BYTES, BATCH_ROWS, WRITE_AFTER_S, BatchWriter
from services.edge.spool.journal import Journal
from services.edge.spool.lines import Finished, records_of
from services.edge.spool.sender import Sender
from services.kit.clock import Clock
from services.kit.rpc.link import QuietLinks

_RESTART_AFTER_S = 1.0
_ROW_BYTES = BATCH_BYTES // BATCH_ROWS + 1
"""What a row counts for in memory: as much as there is for it in a full batch, so that one bound holds for both."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """What /status says. `unsent_bytes`: on disk and not acknowledged; `lag_s`: age of the oldest such batch."""

    unsent_bytes: int
    lag_s: float
    dropped_count: int


class Spool:
    """
    Async-context-managed. `edge` is this process' instance id, never used before; the caller locked `folder`.

    `status` gives the JSON of this edge's /status, sent along once a second.
    """

    def __init__(
        self,
        *,
        folder: Path,
        edge: str,
        links: QuietLinks[IngestItem, Ack],
        bound_bytes: int,
        status: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._edge = edge
        self._links = links
        self._bound_bytes = bound_bytes
        self._edge_status = status
        self._clock = clock
        self._pending: list[Finished] = []
        self._pending_bytes = 0
        self._write_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Spool:
        """Take up what earlier processes left, and begin to send."""
        self._loop = asyncio.get_running_loop()
        self._journal = await asyncio.to_thread(self._open_journal)
        self._sender = Sender(
            journal=self._journal,
            links=self._links,
            edge=self._edge,
            status=self._edge_status,
            clock=self._clock,
        )
        self._writer = BatchWriter(journal=self._journal, clock=self._clock, closed=self._sender.nudge)
        self._links.listen(self._sender)
        self._tasks = [
            asyncio.create_task(_kept_running(self._sender.run), name="spool sender"),
            asyncio.create_task(_kept_running(self._sender.tell), name="spool status"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is pending and leave. What is not acknowledged stays for the next process."""
        self._close_batch()
        _cancel(self._close_timer)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._journal.close()

    def append(self, row: Columns, body: Columns | None, *, payload_length: int = 0, traceparent: str = "") -> None:
        """
        A request has finished. `payload_length`: characters of the body's payloads; `traceparent` of its span, if it
        is sampled. Never waits, never raises.
        """
        self._pending.append((row, body, traceparent))
        self._pending_bytes = pending_bytes = self._pending_bytes + _ROW_BYTES + payload_length
        if pending_bytes > BATCH_BYTES:
            self._write_pending()
        elif self._write_timer is None:
            self._write_timer = self._loop.call_later(WRITE_AFTER_S, self._write_pending)

    def status(self) -> SpoolStatus:
        """How much waits, how long, and how many rows were dropped since the start."""
        return SpoolStatus(
            unsent_bytes=self._journal.unacked_bytes,
            lag_s=self._sender.lag_s,
            dropped_count=self._journal.dropped_count,
        )

    async def drain(self, timeout_s: float) -> bool:
        """Close the open batch and wait until everything is acknowledged; False if that took too long."""
        self._close_batch()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._sender.settled()
                return True
        return False

    def _open_journal(self) -> Journal:
        return Journal(self._folder, edge=self._edge, bound_bytes=self._bound_bytes, clock=self._clock)

    def _write_pending(self) -> None:
        _cancel(self._write_timer)
        self._write_timer = None
        pending, self._pending = self._pending, []
        self._pending_bytes = 0
        if pending:
            self._write(pending)
        if self._writer.is_open and self._close_timer is None:
            self._close_timer = self._loop.call_later(self._writer.due_in_s, self._close_if_due)

    def _write(self, finished: list[Finished]) -> None:
        """As one frame, or as two when they take more than a batch holds."""
        records = records_of(finished)
        if records.size_bytes > BATCH_BYTES and len(finished) > 1:
            half = len(finished) // 2
            self._write(finished[:half])
            self._write(finished[half:])
        else:
            self._writer.write(records, row_count=len(finished))

    def _close_if_due(self) -> None:
        self._close_timer = None
        if self._writer.due_in_s <= WRITE_AFTER_S:
            self._close_batch()
        if self._writer.is_open and self._close_timer is None:
            self._close_timer = self._loop.call_later(self._writer.due_in_s, self._close_if_due)

    def _close_batch(self) -> None:
        """Write what is pending and fix the batch's bounds."""
        self._write_pending()
        self._writer.end()
        _cancel(self._close_timer)
        self._close_timer = None


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


async def _kept_running(loop: Callable[[], Coroutine[None, None, None]]) -> None:
    """A rim: a fault in telling what happened must not end the process that serves."""
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001 - a rim, see above
            _log.exception("a loop of the spool failed and begins again")
            await asyncio.sleep(_RESTART_AFTER_S)
