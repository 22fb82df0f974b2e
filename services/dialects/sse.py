"""
Server-sent events: bytes as they come in, events as they become whole.

Follows the HTML standard's parser: lines end in CR, LF or both, a blank line ends an event, `data` lines are joined,
comments and unknown fields are skipped, a byte-order mark at the very start too. Chunks may split anything, also
CR from LF. An event beyond its bound is dropped and counted; the bytes on their way to the client are not touched
by any of this.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

EVENT_BYTES_MAX: Final = 8_388_608

# Two line ends in a row, where CR LF is one of them and never two.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_BLANK_LINE_BYTES_MAX: Final = 4
_LINE_END = re.compile(rb"[\r\n]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event that has data. `name` is empty when the stream gives none."""

    name: bytes
    payload: bytes


class SseScanner:
    """Finds the events of one stream."""

    __slots__ = (
        "_bytes_max",
        "_is_begun",
        "_is_line_feed_due",
        "_is_skipping",
        "_pending",
        "is_clean",
        "oversized_count",
    )

    def __init__(self, *, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._bytes_max = event_bytes_max
        self._pending = bytearray()
        self._is_begun = False
        self.is_clean = False
        """Nothing of an earlier chunk matters to the next: the quick way may be taken."""
        self._is_line_feed_due = False
        self._is_skipping = False
        self.oversized_count = 0

    @property
    def is_mid_event(self) -> bool:
        """The beginning of an event has come and not its end."""
        return self._is_skipping or bool(self._pending.strip(b"\r\n"))

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that this chunk completes."""
        if not self.is_clean or not chunk.endswith(b"\n\n") or b"\r" in chunk:
            return self._feed_slowly(chunk)
        if chunk.startswith(b"data: ") and chunk.find(b"\n") == len(chunk) - 2:
            return [SseEvent(b"", chunk[6:-2])]
        return _events(chunk[:-2].split(b"\n\n"))

    def finish(self) -> list[SseEvent]:
        """The stream has ended: the last event, if only its blank line is missing."""
        block, self._pending = bytes(self._pending), bytearray()
        return [] if self._is_skipping else _events([block])

    def _feed_slowly(self, chunk: bytes) -> list[SseEvent]:
        searched = max(0, len(self._pending) - _BLANK_LINE_BYTES_MAX)
        self._pending += self._without_line_feed(chunk)
        if not self._is_begun and not self._begin():
            return []
        blocks: list[bytes] = []
        consumed = 0
        while match := _BLANK_LINE.search(self._pending, max(searched, consumed)):
            if not self._is_skipping:
                blocks.append(bytes(self._pending[consumed : match.start()]))
            self._is_skipping = False
            consumed = match.end()
            # The CR may be half of a CR LF whose LF comes with the next chunk.
            self._is_line_feed_due = consumed == len(self._pending) and self._pending.endswith(b"\r")
        del self._pending[:consumed]
        self._bound()
        self.is_clean = not self._pending and not self._is_skipping and not self._is_line_feed_due
        return _events(blocks)

    def _without_line_feed(self, chunk: bytes) -> bytes:
        if not self._is_line_feed_due or not chunk:
            return chunk
        self._is_line_feed_due = False
        return chunk[1:] if chunk.startswith(b"\n") else chunk

    def _begin(self) -> bool:
        """Skip a byte-order mark; False while it cannot be told yet."""
        if len(self._pending) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(self._pending):
            return False
        if self._pending.startswith(_BYTE_ORDER_MARK):
            del self._pending[: len(_BYTE_ORDER_MARK)]
        self._is_begun = True
        return True

    def _bound(self) -> None:
        if len(self._pending) <= self._bytes_max:
            return
        if not self._is_skipping:
            self.oversized_count += 1
            self._is_skipping = True
        del self._pending[:-_BLANK_LINE_BYTES_MAX]


def up_to_payload(chunk: bytes, payload: bytes) -> bytes:
    """A chunk up to the end of the last line of this payload, which is in the chunk or was begun in an earlier one."""
    last_line = payload.rpartition(b"\n")[2]
    line = re.search(rb"(?:^|[\r\n])data: ?%b(?=[\r\n])" % re.escape(last_line), chunk)
    line = line or _LINE_END.search(chunk)
    if line is None:
        return chunk
    return chunk[: line.end() if len(line[0]) > 1 else line.start()]


def _events(blocks: list[bytes]) -> list[SseEvent]:
    events = []
    for block in blocks:
        # Nearly every event is one line of this shape.
        if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
            events.append(SseEvent(b"", block[6:]))
            continue
        event = _event(block)
        if event is not None:
            events.append(event)
    return events


def _event(block: bytes) -> SseEvent | None:
    name = b""
    payload: list[bytes] = []
    for line in block.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            payload.append(value)
        elif field == b"event":
            name = value
    return SseEvent(name, b"\n".join(payload)) if payload else None
