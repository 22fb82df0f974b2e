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
_NOTHING_LEARNED: Final = -1

# What ends a string, begins an escape or ends a line: between the known octets it would be more than text.
_NOT_TEXT: Final = b'"\\\r\n'


class Alike:
    """Remembers the octets around the text of one stream's events."""

    __slots__ = (
        "_after",
        "_around_bytes",
        "_before",
        "_marks",
        "_sse_after",
        "_sse_around_bytes",
        "_sse_before",
        "_tries_left",
        "text_bytes",
    )

    def __init__(self, text_paths: Paths) -> None:
        self._marks = tuple(f'"{path.rpartition(".")[2]}":'.encode() for path in text_paths)
        self._tries_left = _TRIES_MAX
        self._before = b""
        self._after = b""
        self._around_bytes = _NOTHING_LEARNED
        self._sse_before = b""
        self._sse_after = b""
        self._sse_around_bytes = _NOTHING_LEARNED
        self.text_bytes = 0
        """Of the events that were taken."""

    def takes(self, chunk: bytes) -> bool:
        """Whether a piece of a stream is one whole event like the one learned: then its text is counted."""
        text = chunk.removeprefix(self._sse_before).removesuffix(self._sse_after)
        size_bytes = len(text)
        if len(chunk) - size_bytes != self._sse_around_bytes or len(text.translate(None, _NOT_TEXT)) != size_bytes:
            return False
        self.text_bytes += size_bytes
        return True

    def takes_payload(self, payload: bytes) -> bool:
        """As `takes`, of an event's payload."""
        text = payload.removeprefix(self._before).removesuffix(self._after)
        size_bytes = len(text)
        if len(payload) - size_bytes != self._around_bytes or b'"' in text or b"\\" in text:
            return False
        self.text_bytes += size_bytes
        return True

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
                self._sse_around_bytes = len(self._sse_before) + len(self._sse_after)
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
