"""
Capture: a bounded copy of a payload for the log.

Only text is kept, and only its beginning. A body in a content coding is decoded when the log is written, off
the path of the answer; what is cut says so.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

import msgspec

from services.dialects.codings import decode_bounded

_TEXT = ("application/json", "text/", "application/x-ndjson", "application/xml", "application/x-www-form-urlencoded")
_LOOK_BYTES = 512
_utf8_decoder = codecs.getincrementaldecoder("utf-8")
"""Takes a character that is cut off for what it is."""


@lru_cache(maxsize=256)  # the same few content types come with every payload
def content_type_of(value: bytes) -> tuple[str, bool]:
    """A `Content-Type` as text, and whether a payload of it is text."""
    content_type = value.decode("latin-1")
    return content_type, is_text(content_type)


def is_text(content_type: str) -> bool:
    """Whether a payload of this content type may be kept in the log; an unnamed one is not."""
    lower = content_type.strip().lower()
    return lower.startswith(_TEXT) or "+json" in lower


def looks_like_text(payload: bytes) -> bool:
    """Whether a payload that names no content type begins like text: binary ones are never kept."""
    beginning = payload[:_LOOK_BYTES]
    try:
        _utf8_decoder().decode(beginning)
    except UnicodeDecodeError:
        return False
    return b"\0" not in beginning


class Capture(msgspec.Struct, eq=False):
    """The first `bytes_max` bytes of one payload in this content coding."""

    bytes_max: int
    coding: str = ""
    pieces: list[bytes] = []
    kept_bytes: int = 0
    is_cut: bool = False

    def add(self, piece: bytes) -> None:
        """The next bytes of the payload."""
        kept_bytes = self.kept_bytes + len(piece)
        if kept_bytes <= self.bytes_max:
            self.kept_bytes = kept_bytes
            self.pieces.append(piece)
        else:
            self.pieces.append(piece[: self.bytes_max - self.kept_bytes])
            self.kept_bytes = self.bytes_max
            self.is_cut = True

    def payload(self) -> tuple[str, bool]:
        """What was kept, as text, and whether it is cut; octets that are no UTF-8 are replaced."""
        raw = b"".join(self.pieces)
        if self.coding:
            raw = self._decoded(raw)
        return raw.decode("utf-8", "replace"), self.is_cut

    def _decoded(self, raw: bytes) -> bytes:
        if self.coding == "identity":
            return raw
        decoded = decode_bounded(raw, self.coding, bytes_max=self.bytes_max)
        self.is_cut = self.is_cut or len(decoded) >= self.bytes_max
        return decoded
