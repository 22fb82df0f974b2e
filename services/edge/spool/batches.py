"""
Batches: which rows belong together, decided once.

Lines collect into a frame, which is one write; frames collect into the open batch, which is closed at 1,000 rows,
1 MiB or one second. After a quiet second it is closed when nothing more came for 200 ms, so that a lonely request is
soon in the log; not oftener, because each batch is an insert, and an insert costs the store as much as hundreds of
rows. From the moment its end is on disk a batch is never merged or split.

Hazard: an end that could not be written (a full disk) is still owed. Until it is there, further rows are dropped
and counted rather than added to a batch that is over its bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from services.edge.spool import frames
from services.edge.spool.frames import Records
from services.edge.spool.journal import Journal
from services.kit.clock import Clock

BATCH_ROWS = 1_000
BATCH_BYTES = 1_048_576
BATCH_S = 1.0
QUIET_S = 0.2

WRITE_AFTER_S = 0.010
"""From a row to its write: half of what is promised; the rest is for a loop that is late."""


@dataclass(frozen=True, slots=True)
class Lines:
    """One finished request as it is written: JSON without a line's end; empty where there is none."""

    row: bytes
    body: bytes = b""
    traceparent: bytes = b""

    @property
    def size_bytes(self) -> int:
        return len(self.row) + len(self.body) + 2


class BatchWriter:
    """Fills batches of a journal; `closed` is called when there is one more to send."""

    def __init__(self, *, journal: Journal, clock: Clock, closed: Callable[[], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._closed = closed
        self._opened_at_s = 0.0
        self._touched_at_s = 0.0
        self._closed_at_s = -math.inf
        self._frame: list[Lines] = []
        self._frame_bytes = 0
        self._written_rows = 0
        self._written_bytes = 0
        self._is_end_owed = False

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

    def add(self, lines: Lines) -> None:
        """One more row of the next write; closes the batch first if the row does not fit."""
        row_count = self._written_rows + len(self._frame)
        used_bytes = self._written_bytes + self._frame_bytes
        if row_count and (row_count >= BATCH_ROWS or used_bytes + lines.size_bytes > BATCH_BYTES):
            self.end()
        self._frame.append(lines)
        self._frame_bytes += lines.size_bytes

    def write(self) -> None:
        """Put on disk what was added."""
        if self._frame:
            self._write_frame(ends_batch=False)

    def end(self) -> None:
        """Put on disk what was added, and fix the batch's bounds."""
        if self._frame or self.is_open:
            self._write_frame(ends_batch=True)

    def _write_frame(self, *, ends_batch: bool) -> None:
        if self._is_end_owed:
            self._settle_end()
        frame, frame_bytes = self._frame, self._frame_bytes
        self._frame, self._frame_bytes = [], 0
        if self._is_end_owed:
            self._journal.dropped_count += len(frame)
            return
        is_written = self._journal.write(
            self._encoded(frame, ends_batch=ends_batch),
            row_count=len(frame),
            ends_batch=ends_batch,
        )
        self._note(len(frame), frame_bytes, is_written=is_written, ends_batch=ends_batch)

    def _note(self, row_count: int, frame_bytes: int, *, is_written: bool, ends_batch: bool) -> None:
        if is_written and ends_batch:
            self._note_end()
        elif is_written:
            self._touched_at_s = self._clock.monotonic_s()
            if not self.is_open:
                self._opened_at_s = self._touched_at_s
            self._written_rows += row_count
            self._written_bytes += frame_bytes
        else:
            self._is_end_owed = ends_batch and self.is_open

    def _settle_end(self) -> None:
        if self._journal.write(self._encoded([], ends_batch=True), row_count=0, ends_batch=True):
            self._note_end()

    def _note_end(self) -> None:
        self._is_end_owed = False
        self._written_rows = self._written_bytes = 0
        self._closed_at_s = self._clock.monotonic_s()
        self._closed()

    def _encoded(self, frame: list[Lines], *, ends_batch: bool) -> bytes:
        wall_s = self._clock.wall_s()
        encoded = b""
        if frame:
            encoded = frames.encode_records(_records(frame), row_count=len(frame), wall_s=wall_s)
        if ends_batch:
            encoded += frames.encode_end(row_count=self._written_rows + len(frame), wall_s=wall_s)
        return encoded


def _records(frame: list[Lines]) -> Records:
    return Records(
        rows=b"\n".join([*(each.row for each in frame), b""]),
        bodies=b"\n".join([*(each.body for each in frame if each.body), b""]),
        traceparents=b"\n".join([*(each.traceparent for each in frame if each.traceparent), b""]),
    )
