"""
Frames: the binary event stream that Amazon Bedrock answers in (`application/vnd.amazon.eventstream`).

Each frame is a length, headers, a payload and checksums; the payload of an `invoke` stream is JSON around base64
around the model's own JSON. Only usage is read here, so checksums are left to the client, which checks them.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final, NamedTuple

import msgspec

FRAME_BYTES_MAX: Final = 16_777_216

_PRELUDE = struct.Struct(">II")
_PRELUDE_BYTES: Final = 12
_CHECKSUM_BYTES: Final = 4
_STRING_HEADER: Final = 7


class Frame(NamedTuple):
    """One message: its event type, whether it is an exception, and its JSON."""

    name: bytes
    is_exception: bool
    payload: bytes


class _Wrapped(msgspec.Struct):
    bytes: str = ""


class FrameScanner:
    """Finds the frames of one stream. `is_broken`: its bytes are no frames; nothing more is found."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.is_broken = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes."""
        if self.is_broken:
            return []
        self._pending += chunk
        frames: list[Frame] = []
        while len(self._pending) >= _PRELUDE_BYTES:
            size, headers_size = _PRELUDE.unpack_from(self._pending)
            if not _PRELUDE_BYTES + headers_size + _CHECKSUM_BYTES <= size <= FRAME_BYTES_MAX:
                self.is_broken = True
                self._pending.clear()
                break
            if len(self._pending) < size:
                break
            frames.append(_frame(bytes(self._pending[:size]), headers_size))
            del self._pending[:size]
        return frames


def _frame(message: bytes, headers_size: int) -> Frame:
    headers = _string_headers(message[_PRELUDE_BYTES : _PRELUDE_BYTES + headers_size])
    payload = message[_PRELUDE_BYTES + headers_size : -_CHECKSUM_BYTES]
    is_exception = b":exception-type" in headers or b":error-code" in headers
    return Frame(headers.get(b":event-type", b""), is_exception, _unwrapped(payload))


def _string_headers(block: bytes) -> dict[bytes, bytes]:
    """Headers that are strings; all that matter are. Reading stops at the first of another type."""
    headers: dict[bytes, bytes] = {}
    at = 0
    while at < len(block):
        value_at = at + 1 + block[at] + 3
        kind, size = block[value_at - 3 : value_at - 2], int.from_bytes(block[value_at - 2 : value_at], "big")
        if kind != bytes((_STRING_HEADER,)):
            break
        headers[block[at + 1 : value_at - 3]] = block[value_at : value_at + size]
        at = value_at + size
    return headers


def _unwrapped(payload: bytes) -> bytes:
    """What stands in `bytes`, for the payloads that wrap the model's own JSON; else the payload."""
    try:
        wrapped = msgspec.json.decode(payload, type=_Wrapped)
        return base64.b64decode(wrapped.bytes, validate=True) if wrapped.bytes else payload
    except (msgspec.DecodeError, binascii.Error):
        return payload
