"""
Frames: what a segment file is made of.

A segment opens with a header of fixed size, then come frames. A `records` frame holds the rows that one write
brought, an `end` frame fixes the bounds of the batch before it, a `seal` frame closes the segment and says how much
is in it. Each frame carries a checksum, so a reader stops at the first byte that was not written whole. The header
keeps one place that is overwritten: how far the segment is acknowledged. Pure functions, no files.

Hazard: these bytes outlive the program that wrote them. A change of layout raises `FORMAT_VERSION`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

FORMAT_VERSION = 1
HEADER_BYTES = 256
EDGE_BYTES_MAX = 192
"""An instance's name fits into the header."""

ACKED_OFFSET = HEADER_BYTES - 32
"""Where in the header the acknowledged position is overwritten."""

_MAGIC = b"narspool"
_HEADER = struct.Struct("<8sHHQH")
_CHECKSUM = struct.Struct("<I")
_ACKED = struct.Struct("<QQQI")
_FRAME = struct.Struct("<BIIdI")
_FRAME_CHECKED = struct.Struct("<BIId")
_RECORDS = struct.Struct("<II")

FRAME_BYTES = _FRAME.size
SEAL_BYTES = FRAME_BYTES + 8

FrameKind = Literal["records", "end", "seal"]
_KIND_NUMBERS: dict[FrameKind, int] = {"records": 1, "end": 2, "seal": 3}
_KINDS: dict[int, FrameKind] = {number: kind for kind, number in _KIND_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """Whose batches a segment holds. The first batch has `first_sequence`, each later one the next number."""

    edge: str
    first_sequence: int
    columns_version: int


@dataclass(frozen=True, slots=True)
class AckedPosition:
    """Everything before `offset` is acknowledged: so many batches, so many rows."""

    offset: int = HEADER_BYTES
    batch_count: int = 0
    row_count: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, with its payload and where the next one begins."""

    kind: FrameKind
    row_count: int
    wall_s: float
    payload: bytes
    end: int


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of one write, their bodies, and the traces of those that were sampled; each one a line."""

    rows: bytes
    bodies: bytes = b""
    traceparents: bytes = b""

    @property
    def size_bytes(self) -> int:
        """What it adds to its batch; traces are few and short."""
        return len(self.rows) + len(self.bodies)


class Unreadable(Exception):
    """A segment's header is not one, or not of this format."""


def encode_header(header: Header) -> bytes:
    """The first bytes of a segment, with nothing acknowledged."""
    edge = header.edge.encode()
    if not 0 < len(edge) <= EDGE_BYTES_MAX:
        raise ValueError(f"edge: must be 1 to {EDGE_BYTES_MAX} bytes, is {len(edge)}")
    named = _HEADER.pack(_MAGIC, FORMAT_VERSION, header.columns_version, header.first_sequence, len(edge)) + edge
    whole = named + _CHECKSUM.pack(zlib.crc32(named))
    return whole.ljust(ACKED_OFFSET, b"\0") + encode_acked(AckedPosition()).ljust(HEADER_BYTES - ACKED_OFFSET, b"\0")


def decode_header(encoded: bytes) -> Header:
    """Raises Unreadable."""
    if len(encoded) < HEADER_BYTES:
        raise Unreadable("shorter than a header")
    magic, version, columns_version, first_sequence, length = _HEADER.unpack_from(encoded)
    if magic != _MAGIC or version != FORMAT_VERSION or length > EDGE_BYTES_MAX:
        raise Unreadable("not a segment of this format")
    named = encoded[: _HEADER.size + length]
    if _CHECKSUM.unpack_from(encoded, len(named)) != (zlib.crc32(named),):
        raise Unreadable("damaged header")
    return Header(
        edge=named[_HEADER.size :].decode(),
        first_sequence=first_sequence,
        columns_version=columns_version,
    )


def encode_acked(position: AckedPosition) -> bytes:
    """What is written at ACKED_OFFSET; far less than a disk's sector, so it is never half new."""
    numbers = (position.offset, position.batch_count, position.row_count)
    return _ACKED.pack(*numbers, _acked_checksum(numbers))


def decode_acked(header: bytes) -> AckedPosition:
    """Where the acknowledged part ends; its beginning if that was not written whole: resending is harmless."""
    *numbers, checksum = _ACKED.unpack_from(header, ACKED_OFFSET)
    if checksum != _acked_checksum(numbers):
        return AckedPosition()
    return AckedPosition(offset=numbers[0], batch_count=numbers[1], row_count=numbers[2])


def encode_records(records: Records, *, row_count: int, wall_s: float) -> bytes:
    """A frame of rows."""
    lengths = _RECORDS.pack(len(records.rows), len(records.bodies))
    payload = b"".join((lengths, records.rows, records.bodies, records.traceparents))
    return _encode("records", payload, row_count=row_count, wall_s=wall_s)


def encode_end(*, row_count: int, wall_s: float) -> bytes:
    """The frame that fixes the bounds of a batch of so many rows."""
    return _encode("end", b"", row_count=row_count, wall_s=wall_s)


def encode_seal(*, row_count: int, batch_count: int, wall_s: float) -> bytes:
    """The last frame of a segment that was closed in good order, SEAL_BYTES long."""
    return _encode("seal", batch_count.to_bytes(8, "little"), row_count=row_count, wall_s=wall_s)


def decode_frame(buffer: bytes, position: int = 0) -> Frame | None:
    """The frame that begins there; None where no whole, undamaged one does."""
    size = frame_size(buffer, position)
    if size is None or position + size > len(buffer):
        return None
    number, _, row_count, wall_s, checksum = _FRAME.unpack_from(buffer, position)
    payload = buffer[position + FRAME_BYTES : position + size]
    kind = _KINDS.get(number)
    if kind is None or checksum != _checksum(buffer[position : position + _FRAME_CHECKED.size], payload):
        return None
    return Frame(kind=kind, row_count=row_count, wall_s=wall_s, payload=payload, end=position + size)


def frame_size(buffer: bytes, position: int) -> int | None:
    """How long the frame that begins there says it is; None where its head is cut."""
    if position + FRAME_BYTES > len(buffer):
        return None
    _, length, *_ = _FRAME.unpack_from(buffer, position)
    return FRAME_BYTES + int(length)


def decode_records(payload: bytes) -> Records:
    """The payload of a `records` frame."""
    rows, bodies = _RECORDS.unpack_from(payload)
    bodies_begin = _RECORDS.size + rows
    return Records(
        rows=payload[_RECORDS.size : bodies_begin],
        bodies=payload[bodies_begin : bodies_begin + bodies],
        traceparents=payload[bodies_begin + bodies :],
    )


def sealed_batch_count(frame: Frame) -> int:
    """How many batches a `seal` frame says there are."""
    return int.from_bytes(frame.payload, "little")


def _encode(kind: FrameKind, payload: bytes, *, row_count: int, wall_s: float) -> bytes:
    checked = _FRAME_CHECKED.pack(_KIND_NUMBERS[kind], len(payload), row_count, wall_s)
    return b"".join((checked, _CHECKSUM.pack(_checksum(checked, payload)), payload))


def _checksum(checked: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(checked))


def _acked_checksum(numbers: tuple[int, ...] | list[int]) -> int:
    return zlib.crc32(b"%d %d %d" % tuple(numbers))
