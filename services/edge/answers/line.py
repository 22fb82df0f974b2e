"""
A line: what this edge says to one cache replica, in order and without a hole, for as long as a session stands.

A link whose breaker is open takes nothing for a moment, and so does one whose queue is full. An answer that is
being filled must not lose a chunk to that, so what is not taken waits here, bounded, until the link takes things
again. Hazard: when the session is gone, what waits is for nobody; `forget` it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from services.contracts.cache.values import CacheCall, FillChunks, FillWhole
from services.kit.rpc.link import Link

WAITING_BYTES_MAX = 8 * 1024 * 1024
WAITING_ITEMS_MAX = 65_536


class Line:
    """One replica's link, with a place to wait. `look_after` is called when something waits: say it later."""

    __slots__ = ("_look_after", "_waiting_bytes", "link", "waiting")

    def __init__(self, link: Link[CacheCall], *, look_after: Callable[[], None]) -> None:
        self.link = link
        self.waiting: deque[CacheCall] = deque()
        """As long as something is here, what comes after it waits too."""
        self._waiting_bytes = 0
        self._look_after = look_after

    def wait(self, item: CacheCall) -> bool:
        """What the link does not take, or has to stand behind what waits, is said soon; False if it will never be."""
        size_bytes = _size_bytes(item)
        is_full = len(self.waiting) >= WAITING_ITEMS_MAX or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX
        if not self.link.is_standing or is_full:
            return False
        self._waiting_bytes += size_bytes
        self.waiting.append(item)
        self._look_after()
        return True

    def say_waiting(self) -> None:
        """Say what waits, as far as the link takes it."""
        while self.waiting and self.link.send(self.waiting[0]):
            self._waiting_bytes -= _size_bytes(self.waiting.popleft())

    def forget(self) -> None:
        """The session is gone."""
        self.waiting.clear()
        self._waiting_bytes = 0


def _size_bytes(item: CacheCall) -> int:
    """Of the answer's bytes in it; the rest is small and bounded by the number of items."""
    match item:
        case FillChunks() | FillWhole():
            return sum(map(len, item.chunks))
        case _:
            return 0
