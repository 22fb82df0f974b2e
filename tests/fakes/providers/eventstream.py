"""Amazon's binary event stream as a server writes it: frames with their checksums, plain and wrapped in base64."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from tests.fakes.providers.server import Canned, stream

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def frame(payload: bytes, **headers: str) -> bytes:
    """A message; headers are named with underscores: `event_type` is `:event-type`."""
    named = {f":{name.replace('_', '-')}".encode(): value.encode() for name, value in headers.items()}
    block = b"".join(bytes([len(n)]) + n + b"\x07" + struct.pack(">H", len(v)) + v for n, v in named.items())
    return framed(block, payload)


def framed(headers: bytes, payload: bytes) -> bytes:
    """A message with that block of headers."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    content = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return content + struct.pack(">I", zlib.crc32(content))


def event(kind: str, fields: dict[str, Any]) -> bytes:
    """A message of a `converse` stream."""
    payload = json.dumps({**fields, "p": "abcdefgh"}).encode()
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def chunk(fields: dict[str, Any]) -> bytes:
    """A message of an `invoke` stream: the model's own JSON, wrapped."""
    wrapped = {"bytes": base64.b64encode(json.dumps(fields).encode()).decode(), "p": "abcd"}
    return frame(
        json.dumps(wrapped).encode(), event_type="chunk", content_type="application/json", message_type="event"
    )


def exception(kind: str, message: str) -> bytes:
    """The message by which a stream fails."""
    payload = json.dumps({"message": message}).encode()
    return frame(payload, exception_type=kind, content_type="application/json", message_type="exception")


def frames(messages: Iterable[bytes]) -> Canned:
    """An answer that is such a stream."""
    return stream(messages, CONTENT_TYPE)
