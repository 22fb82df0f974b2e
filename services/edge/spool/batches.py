"""
Batches: which rows belong together, decided once.

What one write brings is a frame and stays together. Frames collect into the open batch, which is closed at one second,
and before a frame that would take it over 1,000 rows or 1 MiB. After a quiet second it is closed when nothing more
came for 200 ms, so that a lonely request is soon in the log; not oftener, because each batch is an insert, and an
insert costs the store as much as hundreds of rows. From the moment its end is on disk a batch is never merged or split.

Hazard: on a full disk the journal closes a batch by giving up the rest of its file; a later row begins a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from services.edge.spool import frames
from services.edge.spool.frames import Records
from services.edge.spool.journal import Journal
from services.edge.spool.segment import WrittenBatch
from services.kit.clock import Clock

BATCH_ROWS = 1_000
BATCH_BYTES = 1_048_576
BATCH_S = 1.0
QUIET_S = 0.2

WRITE_AFTER_S = 0.010
"""From a row to its write: half of what is promised; the rest is for a loop that is late."""


class BatchWriter:
    """Fills batches of a journal; `closed` is called when there is one more to send."""

    def __init__(self, *, journal: Journal, clock: Clock, closed: Callable[[], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._closed = closed
        self._opened_at_s = 0.0
        self._touched_at_s = 0.0
        self._closed_at_s = -math.inf
        self._opened_wall_s = 0.0
        self._written: list[Records] = []
        """What the open batch holds, at most its bounds."""
        self._written_rows = 0
        self._written_bytes = 0

    @property
    def is_open(self) -> bool:
        """Rows were written whose batch is not closed."""
        return self._written_rows > 0

    @property
    def due_in_s(self) -> float:
        """Time left until the open batch is to be closed, if no row comes."""
        old_at_s = self._opened_at_s + BATCH_S - WRITE_AFTER_S
        quiet_at_s = max(self._touched_at_s + QUIET_S, self._closed_at_s + BATCH_S)
        return min(old_at_s, quiet_at_s) - self._clock.monotonic_s()

    def write(self, records: Records, *, row_count: int) -> None:
        """Put these on disk; closes the batch first if they do not fit into it."""
        if not self._has_room(row_count, records.size_bytes):
            self.end()
        wall_s = self._clock.wall_s()
        if self._journal.write(frames.encode_records(records, row_count=row_count, wall_s=wall_s), row_count=row_count):
            self._note(records, row_count, wall_s)
        else:
            self._forget()

    def end(self) -> None:
        """Fix the open batch's bounds, if there is one."""
        if self.is_open:
            frame = frames.encode_end(row_count=self._written_rows, wall_s=self._clock.wall_s())
            self._journal.end_batch(frame, WrittenBatch(self._written, self._written_rows, self._opened_wall_s))
            self._forget()

    def _forget(self) -> None:
        """The open batch, if there is one, is closed."""
        if self.is_open:
            self._written = []
            self._written_rows = self._written_bytes = 0
            self._closed_at_s = self._clock.monotonic_s()
            self._closed()

    def _has_room(self, row_count: int, size_bytes: int) -> bool:
        return self._written_rows + row_count <= BATCH_ROWS and self._written_bytes + size_bytes <= BATCH_BYTES

    def _note(self, records: Records, row_count: int, wall_s: float) -> None:
        self._touched_at_s = self._clock.monotonic_s()
        if not self.is_open:
            self._opened_at_s, self._opened_wall_s = self._touched_at_s, wall_s
        self._written.append(records)
        self._written_rows += row_count
        self._written_bytes += records.size_bytes
