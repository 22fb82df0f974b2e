"""
Segments: files of the spool, each a run of batches of one edge instance.

A segment is written by one process only and read in order from its first unacknowledged batch. What an earlier
process left behind is never written again, except for its acknowledged position: whatever follows its last `end`
frame is that process' open batch, and is one batch for ever. A segment that cannot be written any more (a full disk)
ends the same way.

Hazard: a write that fails half way leaves bytes behind. Writes go to an explicit offset, so the next one, if there is
one, covers them, and their checksum keeps a reader from taking them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.contracts.analytics.values import EventBatch
from services.edge.spool import frames
from services.edge.spool.frames import AckedPosition, Header, Records

SUFFIX = ".spool"
_READ_BYTES = 1_310_720
"""A whole batch in one read, as a rule: 1 MiB and what its frames add."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where the next batch of a segment is: all that a thread needs to read it."""

    path: Path
    header: Header
    sequence: int
    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it was found. `is_last`: nothing readable follows in what is closed of the segment."""

    batch: EventBatch
    opened_at_s: float
    end: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """A batch as it was written: its frames' records, and when the first one was (wall clock)."""

    records: Sequence[Records]
    row_count: int
    opened_at_s: float


class Segment:
    """One file. Made by `create` or `open`."""

    def __init__(self, *, path: Path, number: int, header: Header, descriptor: int) -> None:
        self.path = path
        self.number = number
        self.header = header
        self.size_bytes = frames.HEADER_BYTES
        self.row_count = 0
        self.batch_count = 0
        self.is_active = False
        self._descriptor = descriptor
        self._readable_bytes = frames.HEADER_BYTES
        self._read = AckedPosition()
        self._acked = AckedPosition()
        self._unacked: dict[int, AckedPosition] = {}
        self._settled: set[int] = set()
        self.at_hand: StoredBatch | None = None
        """The batch of `next_stretch` as it was written, if nothing else waited to be read when it was closed."""

    @classmethod
    def create(cls, folder: Path, *, number: int, header: Header) -> Segment:
        """A new, active segment. Raises OSError."""
        path = folder / f"{number:010d}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        segment = cls(path=path, number=number, header=header, descriptor=descriptor)
        segment.is_active = True
        try:
            _write_whole(descriptor, frames.encode_header(header), 0)
        except OSError:
            segment.remove()
            raise
        return segment

    @classmethod
    def open(cls, path: Path) -> Segment:
        """A segment of an earlier process, its file closed for now. Raises frames.Unreadable, OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            encoded = os.pread(descriptor, frames.HEADER_BYTES, 0)
            header = frames.decode_header(encoded)
            segment = cls(path=path, number=int(path.stem), header=header, descriptor=descriptor)
            segment._acked = segment._read = frames.decode_acked(encoded)
            segment._measure(os.fstat(descriptor).st_size)
            segment._descriptor = -1
        finally:
            os.close(descriptor)
        return segment

    @property
    def unread_row_count(self) -> int:
        """Rows that no `advance` has passed yet."""
        return self.row_count - self._read.row_count

    @property
    def unacked_bytes(self) -> int:
        """What would be sent again after a crash."""
        return max(0, self.size_bytes - self._acked.offset)

    @property
    def is_settled(self) -> bool:
        """Every closed batch has been read and acknowledged."""
        return not self._unacked and self._read.offset >= self._readable_bytes

    @property
    def is_finished(self) -> bool:
        """Settled, and no further batch will come."""
        return self.is_settled and not self.is_active

    def append(self, encoded: bytes, *, row_count: int) -> None:
        """Write a frame at the end. Raises OSError, and then nothing was written as far as a reader can see."""
        _write_whole(self._descriptor, encoded, self.size_bytes)
        self.size_bytes += len(encoded)
        self.row_count += row_count

    def end_batch(self, encoded: bytes, written: WrittenBatch) -> None:
        """Write the frame that ends a batch, which stays at hand for a reader who waits for it. Raises as `append`."""
        is_next = self._read.offset >= self._readable_bytes
        self.append(encoded, row_count=0)
        sequence = self.header.first_sequence + self.batch_count
        self.batch_count += 1
        self._readable_bytes = self.size_bytes
        if is_next:
            batch = _joined(self.header, sequence, written.records, row_count=written.row_count)
            self.at_hand = StoredBatch(batch, written.opened_at_s, end=self.size_bytes, is_last=False)

    def close_open_batch(self) -> bool:
        """What follows the last end is a batch for ever, as it is after a crash; False if nothing does."""
        if self.size_bytes == self._readable_bytes:
            return False
        self.batch_count += 1
        self._readable_bytes = self.size_bytes
        return True

    def seal(self, *, wall_s: float) -> None:
        """No batch will follow. The last one is closed already. Raises OSError, without harm."""
        self.is_active = False
        seal = frames.encode_seal(row_count=self.row_count, batch_count=self.batch_count, wall_s=wall_s)
        _write_whole(self._descriptor, seal, self.size_bytes)

    def next_stretch(self) -> Stretch | None:
        """Where the next closed batch is; None when all are read."""
        if self._read.offset >= self._readable_bytes:
            return None
        return Stretch(
            path=self.path,
            header=self.header,
            sequence=self.header.first_sequence + self._read.batch_count,
            offset=self._read.offset,
            limit=self._readable_bytes,
        )

    def advance(self, found: StoredBatch | None) -> int:
        """Note what was read there; gives the number of rows that turned out to be unreadable."""
        self.at_hand = None
        if found is None:
            return self._skip_rest()
        self._read = AckedPosition(
            offset=found.end,
            batch_count=self._read.batch_count + 1,
            row_count=self._read.row_count + found.batch.row_count,
        )
        self._unacked[found.batch.sequence] = self._read
        return self._skip_rest() if found.is_last and self._read.offset < self._readable_bytes else 0

    def acknowledge(self, sequence: int) -> None:
        """The store has that batch. Where all before it are there too, the file says so from now on. Raises OSError."""
        self._settled.add(sequence)
        moved = False
        while self._unacked and (first := next(iter(self._unacked))) in self._settled:
            self._settled.discard(first)
            self._acked = self._unacked.pop(first)
            moved = True
        if moved:
            self._descriptor = self._descriptor if self._descriptor >= 0 else _reopened(self.path)
            os.pwrite(self._descriptor, frames.encode_acked(self._acked), frames.ACKED_OFFSET)

    def close(self) -> None:
        """Leave the file as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Close and delete."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _skip_rest(self) -> int:
        lost = self.unread_row_count
        self._read = AckedPosition(
            offset=self._readable_bytes,
            batch_count=self._read.batch_count,
            row_count=self.row_count,
        )
        return lost

    def _measure(self, file_bytes: int) -> None:
        """How much of an existing file is good: told by its seal, or by reading it where it has none."""
        tail = os.pread(self._descriptor, frames.SEAL_BYTES, max(frames.HEADER_BYTES, file_bytes - frames.SEAL_BYTES))
        seal = frames.decode_frame(tail)
        if seal is not None and seal.kind == "seal":
            self.row_count, self.batch_count = seal.row_count, frames.sealed_batch_count(seal)
            self.size_bytes = self._readable_bytes = file_bytes - frames.SEAL_BYTES
        else:
            self._scan(file_bytes)

    def _scan(self, file_bytes: int) -> None:
        """From what is acknowledged on: whatever became of that part, it is not needed any more."""
        begin = self._acked.offset
        content = os.pread(self._descriptor, max(0, file_bytes - begin), begin)
        self.row_count, self.batch_count = self._acked.row_count, self._acked.batch_count
        position, open_row_count = 0, 0
        while (frame := frames.decode_frame(content, position)) is not None:
            position = frame.end
            if frame.kind == "records":
                self.row_count += frame.row_count
                open_row_count += frame.row_count
            elif frame.kind == "end":
                self.batch_count, open_row_count = self.batch_count + 1, 0
        self.batch_count += 1 if open_row_count else 0
        self.size_bytes = self._readable_bytes = begin + position


def read_batch(stretch: Stretch) -> StoredBatch | None:
    """The batch at the beginning of a stretch; None where nothing readable is. Blocks on the disk. Raises OSError."""
    found: list[Records] = []
    row_count, position, opened_at_s = 0, 0, 0.0
    with contextlib.closing(_FrameReader(stretch)) as reader:
        while (frame := reader.frame_at(position)) is not None and frame.kind != "seal":
            position = frame.end
            if frame.kind == "end":
                break
            opened_at_s = opened_at_s or frame.wall_s
            row_count += frame.row_count
            found.append(frames.decode_records(frame.payload))
    if not found:
        return None
    return StoredBatch(
        batch=_joined(stretch.header, stretch.sequence, found, row_count=row_count),
        opened_at_s=opened_at_s,
        end=stretch.offset + position,
        is_last=frame is None or frame.kind == "seal",
    )


class _FrameReader:
    """Frames of a stretch, read in as few pieces as they fit."""

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._descriptor = os.open(stretch.path, os.O_RDONLY | os.O_CLOEXEC)
        self._buffer = b""

    def frame_at(self, position: int) -> frames.Frame | None:
        """The frame at a position of the stretch; None where no whole, undamaged one is."""
        while (frame := frames.decode_frame(self._buffer, position)) is None:
            size = frames.frame_size(self._buffer, position)
            missing = _READ_BYTES if size is None else position + size - len(self._buffer)
            if missing <= 0 or not self._read(max(missing, _READ_BYTES)):
                return None
        return frame

    def close(self) -> None:
        os.close(self._descriptor)

    def _read(self, size: int) -> bool:
        begin = self._stretch.offset + len(self._buffer)
        more = os.pread(self._descriptor, max(0, min(size, self._stretch.limit - begin)), begin)
        self._buffer += more
        return bool(more)


def _joined(header: Header, sequence: int, found: Sequence[Records], *, row_count: int) -> EventBatch:
    traceparents = b"".join([each.traceparents for each in found])
    return EventBatch(
        edge=header.edge,
        sequence=sequence,
        row_count=row_count,
        rows=b"".join([each.rows for each in found]),
        bodies=b"".join([each.bodies for each in found]),
        columns_version=header.columns_version,
        traceparents=tuple(traceparents.decode().split()),
    )


def _reopened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _write_whole(descriptor: int, encoded: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, encoded, offset)
    while written < len(encoded):
        written += os.pwrite(descriptor, memoryview(encoded)[written:], offset + written)
