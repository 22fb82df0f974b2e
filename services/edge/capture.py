"""
Capture: a bounded copy of a payload for the log.

Only text is kept, and only its beginning. A body in a content coding is decoded when the log is written, off
the path of the answer; what is cut says so.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

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


class Capture:
    """The first `bytes_max` bytes of one payload."""

    __slots__ = ("_bytes_max", "_coding", "_pieces", "_size", "is_cut")

    def __init__(self, *, bytes_max: int, coding: str = "") -> None:
        self._bytes_max = bytes_max
        self._coding = coding
        self._pieces: list[bytes] = []
        self._size = 0
        self.is_cut = False

    def add(self, piece: bytes) -> None:
        """The next bytes of the payload."""
        room = self._bytes_max - self._size
        if room <= 0:
            self.is_cut = self.is_cut or bool(piece)
            return
        if len(piece) > room:
            piece = piece[:room]
            self.is_cut = True
        self._pieces.append(piece)
        self._size += len(piece)

    def payload(self) -> tuple[str, bool]:
        """What was kept, as text, and whether it is cut; octets that are no UTF-8 are replaced."""
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._coding and self._coding != "identity":
            raw = decode_bounded(raw, self._coding, bytes_max=self._bytes_max)
            self.is_cut = self.is_cut or len(raw) >= self._bytes_max
        return raw.decode("utf-8", "replace"), self.is_cut
