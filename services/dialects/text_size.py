"""
Text size: how much text a request is, counted as it passes.

The measure by which input tokens are estimated when a provider does not tell them. A file embedded in a string (base64)
counts as about a thousand tokens, however long it is, because that is what a model sees of it. A body that streams
is never held, so the count goes on from piece to piece, and a mark may be split between two.

Hazard: a client writes the body, and may fill it with marks. Nothing is looked at twice because there is another mark,
and beyond so many of them the rest counts as text.
"""

from __future__ import annotations

from typing import Final, Literal

# Before an embedded file: a data URL, or a member called `data`. A shorter string after one is no file.
_URL_MARK: Final = b";base64,"
_MEMBER_MARK: Final = b'"data":'
_SPLIT_BYTES_MAX: Final = max(len(_URL_MARK), len(_MEMBER_MARK)) - 1
_MARKS_MAX: Final = 4_096
"""In one body; more files than any provider takes."""
_FILE_BYTES_MIN: Final = 16_384
_FILE_SEEN_BYTES: Final = 4_096


Place = Literal["text", "before a string", "string"]
_TEXT: Final = "text"


def text_size_bytes(body: bytes) -> int:
    """The size of a body that is here whole."""
    if len(body) <= _FILE_BYTES_MIN:
        return len(body)
    counted = TextSize()
    counted.feed(body)
    return counted.size_bytes


class TextSize:
    """Counts one body."""

    __slots__ = ("_before", "_file_bytes", "_marks_left", "_place", "_text_bytes")

    def __init__(self) -> None:
        self._before = b""
        self._place: Place = "text"
        self._text_bytes = 0
        self._file_bytes = 0
        self._marks_left = _MARKS_MAX

    @property
    def size_bytes(self) -> int:
        """As far as it has come."""
        is_file = self._file_bytes > _FILE_BYTES_MIN
        return self._text_bytes + (_FILE_SEEN_BYTES if is_file else self._file_bytes)

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        at = 0
        marks = _Marks(piece)
        if self._before:
            at = self._pass_split_mark(piece)
        while at < len(piece):
            match self._place:
                case "text":
                    at = self._pass_text(marks, at)
                case "before a string":
                    at = self._pass_to_quote(piece, at)
                case "string":
                    at = self._pass_string(piece, at)

    def _pass_split_mark(self, piece: bytes) -> int:
        """The end of a mark that began in the piece before; how far that is."""
        before, self._before = self._before, b""
        end, place = _Marks(before + piece[:_SPLIT_BYTES_MAX]).next(0)
        if place == "text":
            if len(piece) < _SPLIT_BYTES_MAX:
                self._text_bytes += len(piece)
                self._before = (before + piece)[-_SPLIT_BYTES_MAX:]
                return len(piece)
            return 0
        passed = end - len(before)
        self._text_bytes += passed
        self._enter(place)
        return passed

    def _pass_text(self, marks: _Marks, begin: int) -> int:
        """To the end of the next mark; how far that is."""
        piece = marks.piece
        end, place = marks.next(begin) if self._marks_left else (len(piece), _TEXT)
        self._text_bytes += end - begin
        if place == "text":
            self._before = piece[max(begin, len(piece) - _SPLIT_BYTES_MAX) :] if self._marks_left else b""
        else:
            self._enter(place)
        return end

    def _enter(self, place: Place) -> None:
        """What follows a mark begins."""
        self._marks_left -= 1
        self._place = place

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


class _Marks:
    """The marks of one piece, each sought from where the last one of its kind was found."""

    __slots__ = ("_member_at", "_url_at", "piece")

    def __init__(self, piece: bytes) -> None:
        self.piece = piece
        self._url_at = self._member_at = -1

    def next(self, begin: int) -> tuple[int, Place]:
        """Where the next mark ends, and what follows it; the piece's end and text if there is none."""
        piece = self.piece
        if self._url_at < begin:
            self._url_at = _found(piece, _URL_MARK, begin)
        if self._member_at < begin:
            self._member_at = _found(piece, _MEMBER_MARK, begin)
        if self._url_at < self._member_at:
            return self._url_at + len(_URL_MARK), "string"
        if self._member_at < len(piece):
            return self._member_at + len(_MEMBER_MARK), "before a string"
        return len(piece), _TEXT


def _found(piece: bytes, mark: bytes, begin: int) -> int:
    """Where the mark begins; the piece's end if it does not come."""
    found = piece.find(mark, begin)
    return found if found >= 0 else len(piece)
