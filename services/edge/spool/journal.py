"""
Journal: the spool's folder, a row of segments from the oldest unacknowledged batch to the open one.

Writing happens at the end, reading in order from the front, and a segment is deleted when all its batches are
acknowledged. The whole is bounded: when it is full the oldest segment goes, and its rows are counted as dropped.
Batches of it that are being sent at that moment may still arrive, so they are not counted.

Writes go to the page cache and are never synced: they survive the death of the process, which is what is promised.
A batch that is read as soon as it was closed is still at hand, so as a rule nothing is read from the disk.

A disk that is full before the bound is reached costs the newest rows, also counted: what was accepted stays, and
room comes back as batches are acknowledged or somebody else gives some up.

Hazard: `read_next` leaves the loop to read; when it comes back its segment may have been dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from dataclasses import dataclass
from pathlib import Path

from services.contracts.analytics.values import COLUMNS_VERSION, EventBatch
from services.edge.spool import frames
from services.edge.spool.frames import Header
from services.edge.spool.segment import SUFFIX, Segment, WrittenBatch, read_batch
from services.kit.clock import Clock
from services.kit.files import FOLDER_MODE

SEGMENT_BYTES = 16 * 1_048_576
SEGMENT_BATCHES = 1_000
"""A crash may send a segment's batches again; they must fit into the store's memory of ids many times over."""

_DAMAGED_SUFFIX = ".damaged"
_DAMAGED_MAX = 4
_PASSES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})
"""Reasons why a file cannot be opened that say nothing of the file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch on its way. `segment` is what to acknowledge it to."""

    batch: EventBatch
    opened_at_s: float
    segment: Segment


class Journal:
    """
    Segments on disk. `edge` names this process and was never used before: it is half of a batch's id.

    Opening blocks on the disk. The caller holds the folder's lock.
    """

    def __init__(self, folder: Path, *, edge: str, bound_bytes: int, clock: Clock) -> None:
        self._folder = folder
        self._edge = edge
        self._bound_bytes = bound_bytes
        self._segment_bytes = max(4096, min(SEGMENT_BYTES, bound_bytes // 8))
        self._clock = clock
        self._next_sequence = 1
        self._active: Segment | None = None
        self._trouble: str | None = None
        self.dropped_count = 0
        self._segments = self._found()
        self._next_number = self._last_number() + 1

    @property
    def unacked_bytes(self) -> int:
        """What is on disk and not acknowledged."""
        return sum(segment.unacked_bytes for segment in self._segments)

    @property
    def is_settled(self) -> bool:
        """Every closed batch has been read and acknowledged."""
        return all(segment.is_settled for segment in self._segments)

    def write(self, encoded: bytes, *, row_count: int) -> bool:
        """A frame of the open batch. False: not written, and counted; an open batch is closed then."""
        try:
            self._writable().append(encoded, row_count=row_count)
        except OSError as error:
            self.dropped_count += row_count
            self._give_up_active(error.strerror)
            return False
        self._tell_trouble(None)
        self._make_room()
        return True

    def end_batch(self, encoded: bytes, written: WrittenBatch) -> None:
        """The frame that ends the open batch. It is closed also where that cannot be written."""
        try:
            self._writable().end_batch(encoded, written)
        except OSError as error:
            self._give_up_active(error.strerror)
            return
        self._tell_trouble(None)
        self._next_sequence += 1
        self._rotate()
        self._make_room()

    async def read_next(self) -> Taken | None:
        """The next batch that nobody took yet, oldest first; None when there is none."""
        for segment in list(self._segments):
            taken = await self._read_from(segment)
            if taken is not None:
                return taken
        return None

    def acknowledge(self, taken: Taken) -> None:
        """The store has it. A segment without further batches is deleted."""
        if taken.segment not in self._segments:
            return
        try:
            taken.segment.acknowledge(taken.batch.sequence)
        except OSError as error:
            _log.warning(
                "an acknowledgement was not noted, the batch may be sent again", extra={"reason": error.strerror}
            )
        self._remove_finished()

    def close(self) -> None:
        """No further batch. What is not acknowledged stays for the next process."""
        if self._active is not None:
            self._retire(self._active)
        self._remove_finished()
        for segment in self._segments:
            segment.close()

    def _give_up_active(self, reason: str | None) -> None:
        """
        Nothing more can be written to the open segment, so what is in it is all that will ever be.

        Its open batch has its bounds by that, can be sent, and then makes room, however full the disk is.
        """
        self._tell_trouble(reason)
        if self._active is not None:
            if self._active.close_open_batch():
                self._next_sequence += 1
            self._retire(self._active)
            self._remove_finished()

    def _tell_trouble(self, reason: str | None) -> None:
        """Once when it begins and once when it is over, not at every write in between."""
        if (reason is None) != (self._trouble is None):
            if reason is None:
                _log.info("the spool can be written again")
            else:
                _log.warning("the spool cannot be written, rows are dropped: %s", reason)
        self._trouble = reason

    def _found(self) -> list[Segment]:
        segments: list[Segment] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                segments.append(Segment.open(path))
            except (frames.Unreadable, ValueError, OSError) as error:
                self._set_aside(path, reason=str(error))
        return segments

    def _last_number(self) -> int:
        """Of any file, also of one that was set aside: two of those must not have one name."""
        return max((int(path.stem) for path in self._folder.glob("*") if path.stem.isdecimal()), default=0)

    def _set_aside(self, path: Path, *, reason: str) -> None:
        _log.warning("spool segment %s is set aside: %s", path.name, reason)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(_DAMAGED_SUFFIX))
            for old in sorted(self._folder.glob(f"*{_DAMAGED_SUFFIX}"))[:-_DAMAGED_MAX]:
                old.unlink(missing_ok=True)

    def _writable(self) -> Segment:
        if self._active is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            header = Header(edge=self._edge, first_sequence=self._next_sequence, columns_version=COLUMNS_VERSION)
            self._active = Segment.create(self._folder, number=self._next_number, header=header)
            self._next_number += 1
            self._segments.append(self._active)
        return self._active

    def _rotate(self) -> None:
        active = self._active
        if active is not None and (active.size_bytes >= self._segment_bytes or active.batch_count >= SEGMENT_BATCHES):
            self._retire(active)
            self._remove_finished()

    def _retire(self, active: Segment) -> None:
        with contextlib.suppress(OSError):
            active.seal(wall_s=self._clock.wall_s())
        active.is_active = False
        self._active = None

    def _make_room(self) -> None:
        excess_bytes = sum(segment.size_bytes for segment in self._segments) - self._bound_bytes
        for segment in list(self._segments):
            if excess_bytes <= 0:
                return
            if segment is not self._active:
                excess_bytes -= segment.size_bytes
                self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        self.dropped_count += segment.unread_row_count
        self._remove(segment)

    def _remove_finished(self) -> None:
        for segment in [each for each in self._segments if each.is_finished]:
            self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        try:
            segment.remove()
        except OSError as error:
            _log.warning("spool segment %s cannot be deleted: %s", segment.path.name, error.strerror)

    async def _read_from(self, segment: Segment) -> Taken | None:
        stretch = segment.next_stretch()
        if stretch is None:
            return None
        found = segment.at_hand
        try:
            found = found or await asyncio.to_thread(read_batch, stretch)
        except OSError as error:
            _log.warning(
                "a spool segment is not readable", extra={"segment": stretch.path.name, "reason": error.strerror}
            )
            if error.errno in _PASSES:
                return None
        if segment not in self._segments:
            return None
        self.dropped_count += segment.advance(found)
        return None if found is None else Taken(batch=found.batch, opened_at_s=found.opened_at_s, segment=segment)
