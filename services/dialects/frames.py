"""
Frames: the binary event stream that Amazon Bedrock answers in (`application/vnd.amazon.eventstream`).

A frame is its length and that of its headers, a checksum of both, headers, a payload and a checksum of it all (CRC-32);
the payload of an `invoke` stream is JSON around base64 around the model's own JSON. Frames are read for usage and
errors, and one is made: the exception that ends a stream which broke. Hazard: a wrong length would make the rest of a
stream one frame without end, so a checksum that does not fit ends the reading, and the stream counts as malformed.

Source: "Event stream encoding" in the guide of Amazon Lex, which is the one place where the framing is written down.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

FRAME_BYTES_MAX: Final = 16_777_216

_PRELUDE = struct.Struct(">III")
_LENGTHS_BYTES: Final = 8
_CHECKSUM = struct.Struct(">I")
_STRING_HEADER: Final = 7

# Bytes of a header's value by its type: two kinds of bool, four of integers, time, UUID.
_HEADER_BYTES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# A blob and a text say their length themselves.
_SIZED_HEADERS: Final = (6, _STRING_HEADER)

_EXCEPTION_MARKS: Final = (b":exception-type", b":error-code")


class Frame(NamedTuple):
    """One message: its event type, whether it is an exception, and its JSON."""

    name: bytes
    is_exception: bool
    payload: bytes


class _Wrapped(msgspec.Struct):
    bytes: str = ""


class _Broken(ValueError):  # reads as what the frame is
    """These bytes are no frame."""


class FrameScanner:
    """Finds the frames of one stream. `is_broken`: its bytes are no frames; nothing more is found."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.is_broken = False

    @property
    def is_mid_frame(self) -> bool:
        """The beginning of a frame has come and not its end, or nobody knows."""
        return self.is_broken or bool(self._pending)

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes."""
        frames: list[Frame] = []
        if self.is_broken:
            return frames
        self._pending += chunk
        try:
            while len(self._pending) >= _PRELUDE.size:
                size, headers_size = _sizes(self._pending)
                if len(self._pending) < size:
                    break
                frames.append(_frame(bytes(self._pending[:size]), headers_size))
                del self._pending[:size]
        except _Broken:
            self.is_broken = True
            self._pending.clear()
        return frames


def exception_frame(name: str, message: str) -> bytes:
    """The frame by which a stream says that it has failed."""
    headers = _headers_block(
        {
            b":message-type": b"exception",
            b":exception-type": name.encode(),
            b":content-type": b"application/json",
        }
    )
    payload = msgspec.json.encode({"message": message})
    lengths = struct.pack(">II", _PRELUDE.size + len(headers) + len(payload) + _CHECKSUM.size, len(headers))
    content = lengths + _CHECKSUM.pack(crc32(lengths)) + headers + payload
    return content + _CHECKSUM.pack(crc32(content))


def _headers_block(headers: Mapping[bytes, bytes]) -> bytes:
    return b"".join(
        bytes((len(name),)) + name + bytes((_STRING_HEADER,)) + struct.pack(">H", len(value)) + value
        for name, value in headers.items()
    )


def _sizes(pending: bytearray) -> tuple[int, int]:
    """Of the frame that begins here, and of its headers. Raises _Broken."""
    size, headers_size, checksum = _PRELUDE.unpack_from(pending)
    if checksum != crc32(pending[:_LENGTHS_BYTES]):
        raise _Broken
    if not _PRELUDE.size + headers_size + _CHECKSUM.size <= size <= FRAME_BYTES_MAX:
        raise _Broken
    return size, headers_size


def _frame(message: bytes, headers_size: int) -> Frame:
    """Raises _Broken."""
    content, checksum = message[: -_CHECKSUM.size], message[-_CHECKSUM.size :]
    if _CHECKSUM.unpack(checksum) != (crc32(content),):
        raise _Broken
    headers_end = _PRELUDE.size + headers_size
    headers = _string_headers(content[_PRELUDE.size : headers_end])
    is_exception = any(mark in headers for mark in _EXCEPTION_MARKS)
    return Frame(headers.get(b":event-type", b""), is_exception, _unwrapped(content[headers_end:]))


def _string_headers(block: bytes) -> dict[bytes, bytes]:
    """Headers that are strings; all that matter are. Raises _Broken."""
    headers: dict[bytes, bytes] = {}
    at = 0
    try:
        while at < len(block):
            kind_at = at + 1 + block[at]
            kind, value_at = block[kind_at], kind_at + 1
            if kind in _SIZED_HEADERS:
                size = int.from_bytes(block[value_at : value_at + 2], "big")
                value_at += 2
            else:
                size = _HEADER_BYTES[kind]
            if kind == _STRING_HEADER:
                headers[block[at + 1 : kind_at]] = block[value_at : value_at + size]
            at = value_at + size
    except (IndexError, KeyError) as error:
        raise _Broken from error
    return headers


def _unwrapped(payload: bytes) -> bytes:
    """What stands in `bytes`, for the payloads that wrap the model's own JSON; else the payload."""
    try:
        wrapped = msgspec.json.decode(payload, type=_Wrapped)
        return base64.b64decode(wrapped.bytes, validate=True) if wrapped.bytes else payload
    except (msgspec.DecodeError, binascii.Error):
        return payload
