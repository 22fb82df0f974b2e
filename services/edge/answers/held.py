"""
What a recall holds: a filler's own copy of the answer, or what a joiner has not read yet.

All together they keep to the edge's budget. A filler's copy keeps to the gateway's `maxEntryBytes` as well; one that
outgrows a bound is let go, and its answer is not in the near cache. Nobody waits for a joiner, because others get the
same bytes: one that reads slowly may fall behind by `maxEntryBytes`, or by a part of what the budget has left if that
is more, and is cut off beyond it. A filler's chunks are counted when they are said, so at most 16 KiB of each answer
are not counted yet. Hazard: what is held is given back to the budget exactly once.
"""

from __future__ import annotations

from collections import deque

from services.contracts.cache.values import Fill, FillHead, Hit, JoinChunk, JoinEnd, JoinHead, Miss
from services.edge.answers.budget import Budget

Next = JoinHead | JoinChunk | JoinEnd | Fill | Miss

BEHIND_BYTES_MIN = 1024 * 1024
"""What a joiner may be behind by, however small `maxEntryBytes` is."""
BEHIND_PART = 4
"""Of what the budget has left, the part that one joiner may be behind by: each finds less, and none finds nothing."""


class Copy:
    """A filler's copy of its answer, for the near cache."""

    __slots__ = ("_budget", "_bytes_max", "_chunks", "_held_bytes", "_is_whole")

    def __init__(self, budget: Budget, *, bytes_max: int) -> None:
        self._budget = budget
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._is_whole = True

    def add(self, chunks: tuple[bytes, ...], size_bytes: int) -> None:
        """The next bytes, as many as are said together."""
        budget, held_bytes = self._budget, self._held_bytes + size_bytes
        if held_bytes > self._bytes_max or budget.used_bytes + size_bytes > budget.bytes_max:
            self._is_whole = False
            self.let_go()
        elif self._is_whole:
            budget.used_bytes += size_bytes
            self._held_bytes = held_bytes
            self._chunks += chunks

    def hit(self, head: FillHead, facts: str) -> Hit | None:
        """The whole answer as others will get it; None when it was not held."""
        if not self._is_whole:
            return None
        return Hit(0, head.status, head.headers, tuple(self._chunks), facts or head.facts, head.ttl_s)

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._budget.give(self._held_bytes)
        self._held_bytes = 0
        self._chunks = []


class Unread:
    """What has come for a joiner and was not read yet."""

    __slots__ = ("_budget", "_bytes_max", "_held_bytes", "_items")

    def __init__(self, budget: Budget, *, bytes_max: int) -> None:
        self._budget = budget
        self._bytes_max = max(bytes_max, BEHIND_BYTES_MIN)
        self._items: deque[Next] = deque()
        self._held_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: JoinHead | JoinEnd | Fill | Miss) -> None:
        """Something small."""
        self._items.append(item)

    def put_chunk(self, item: JoinChunk) -> bool:
        """The next bytes; False when that is too much."""
        held_bytes, budget = self._held_bytes + len(item.chunk), self._budget
        if held_bytes > self._bytes_max and held_bytes > budget.free_bytes // BEHIND_PART:
            return False
        if not budget.take_piece(item.chunk):
            return False
        self._held_bytes = held_bytes
        self._items.append(item)
        return True

    def pop(self) -> Next:
        """The oldest."""
        item = self._items.popleft()
        if isinstance(item, JoinChunk):
            self._held_bytes -= len(item.chunk)
            self._budget.give_piece(item.chunk)
        return item

    def let_go(self) -> None:
        """Nobody will read it."""
        while self._items:
            self.pop()
