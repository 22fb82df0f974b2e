"""
Text size: how much text a request is, counted as it passes.

The measure by which input tokens are estimated when a provider does not tell them. A file embedded in a string (base64)
counts as about a thousand tokens, however long it is, because that is what a model sees of it. A body that streams
is never held, so the count goes on from piece to piece, and a mark may be split between two.
"""

from __future__ import annotations

from typing import Final, Literal

# Before an embedded file: a data URL, or a member called `data`. A shorter string after one is no file.
_URL_MARK: Final = b";base64,"
_MEMBER_MARK: Final = b'"data":'
_SPLIT_BYTES_MAX: Final = max(len(_URL_MARK), len(_MEMBER_MARK)) - 1
_FILE_BYTES_MIN: Final = 16_384
_FILE_SEEN_BYTES: Final = 4_096


def text_size_bytes(body: bytes) -> int:
    """The size of a body that is here whole."""
    if len(body) <= _FILE_BYTES_MIN:
        return len(body)
    counted = TextSize()
    counted.feed(body)
    return counted.size_bytes


class TextSize:
    """Counts one body."""

    __slots__ = ("_before", "_file_bytes", "_place", "_text_bytes")

    def __init__(self) -> None:
        self._before = b""
        self._place: Literal["text", "before a string", "string"] = "text"
        self._text_bytes = 0
        self._file_bytes = 0

    @property
    def size_bytes(self) -> int:
        """As far as it has come."""
        is_file = self._file_bytes > _FILE_BYTES_MIN
        return self._text_bytes + (_FILE_SEEN_BYTES if is_file else self._file_bytes)

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        at = 0
        while at < len(piece):
            match self._place:
                case "text":
                    at = self._pass_text(piece, at)
                case "before a string":
                    at = self._pass_to_quote(piece, at)
                case "string":
                    at = self._pass_string(piece, at)

    def _pass_text(self, piece: bytes, begin: int) -> int:
        """To the end of the next mark; how far that is."""
        window = self._before + piece[begin:] if self._before or begin else piece
        ends = [
            (found + len(mark), place)
            for mark, place in ((_URL_MARK, "string"), (_MEMBER_MARK, "before a string"))
            if (found := window.find(mark)) >= 0
        ]
        if not ends:
            self._text_bytes += len(piece) - begin
            self._before = window[-_SPLIT_BYTES_MAX:]
            return len(piece)
        end, place = min(ends)
        passed = end - len(self._before)
        self._text_bytes += passed
        self._before = b""
        self._place = "string" if place == "string" else "before a string"
        return begin + passed

    def _pass_to_quote(self, piece: bytes, begin: int) -> int:
        quote = piece.find(b'"', begin)
        end = len(piece) if quote < 0 else quote + 1
        self._text_bytes += end - begin
        if quote >= 0:
            self._place = "string"
        return end

    def _pass_string(self, piece: bytes, begin: int) -> int:
        quote = piece.find(b'"', begin)
        end = len(piece) if quote < 0 else quote
        self._file_bytes += end - begin
        if quote >= 0:
            self._text_bytes = self.size_bytes
            self._file_bytes = 0
            self._place = "text"
        return end
