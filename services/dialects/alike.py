"""
Alike: events that differ from an earlier one in nothing but their text.

Most events of a stream do. Once one has been read, the octets before and after its text are known, and an event with
the same octets around a text without quotes or escapes is the same JSON with another text: nothing in it needs to be
read. So a long answer costs two comparisons an event. Where events carry numbers that change (a sequence
number, a log probability) nothing is alike, and after a few tries nobody asks any more.
"""

from __future__ import annotations

from typing import Final

from services.dialects.formats import Paths

_TRIES_MAX: Final = 16
_QUOTE: Final = 34
_SPACE: Final = 32


class Alike:
    """Remembers the octets around the text of one stream's events."""

    __slots__ = ("_after", "_around_bytes", "_before", "_marks", "_sse_after", "_sse_before", "_tries_left")

    def __init__(self, text_paths: Paths) -> None:
        self._marks = tuple(f'"{path.rpartition(".")[2]}":'.encode() for path in text_paths)
        self._tries_left = _TRIES_MAX
        self._before = b""
        self._after = b""
        self._around_bytes = 0
        self._sse_before = b""
        self._sse_after = b""

    def chunk_text_bytes(self, chunk: bytes) -> int:
        """Of a piece of a stream that is one whole event: bytes of its text if it is like the one learned; else -1."""
        if not self._around_bytes or not chunk.startswith(self._sse_before) or not chunk.endswith(self._sse_after):
            return -1
        begin, end = len(self._sse_before), len(chunk) - len(self._sse_after)
        find = chunk.find
        if end < begin or find(b'"', begin, end) >= 0 or find(b"\\", begin, end) >= 0:
            return -1
        return -1 if find(b"\n", begin, end) >= 0 or find(b"\r", begin, end) >= 0 else end - begin

    def text_bytes(self, payload: bytes) -> int:
        """Bytes of text of an event that is like the one learned; -1: it must be read."""
        if not self._around_bytes or not payload.startswith(self._before) or not payload.endswith(self._after):
            return -1
        size_bytes = len(payload) - self._around_bytes
        if size_bytes < 0:
            return -1
        begin = len(self._before)
        end = begin + size_bytes
        if payload.find(b'"', begin, end) >= 0 or payload.find(b"\\", begin, end) >= 0:
            return -1
        return size_bytes

    def learn(self, payload: bytes, text_bytes: int) -> None:
        """An event was read that tells nothing but this much text."""
        if not text_bytes or not self._tries_left:
            return
        self._tries_left -= 1
        for mark in self._marks:
            begin = _string_begin(payload, mark)
            if begin and payload.find(b'"', begin) == begin + text_bytes:
                self._before, self._after = payload[:begin], payload[begin + text_bytes :]
                self._around_bytes = len(payload) - text_bytes
                self._sse_before, self._sse_after = b"data: " + self._before, self._after + b"\n\n"
                return


def _string_begin(payload: bytes, mark: bytes) -> int:
    """Where the string begins that follows the mark; 0: there is none."""
    at = payload.find(mark)
    if at < 0:
        return 0
    at += len(mark)
    if payload[at] == _SPACE:
        at += 1
    return at + 1 if payload[at] == _QUOTE else 0
