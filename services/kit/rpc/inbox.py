"""
Inbox: messages that a session has not taken yet.

It stands between the task that reads a stream and the one that works, so that probes are echoed while the
session is busy. Messages that pile up meanwhile are taken together, which makes a busy session's batches
bigger. When the inbox is full the reader waits, the sender's writes stop, and what it sends is refused over there:
back-pressure from end to end. Hazard: a reader that waits reads no probes, so to the other side a session that
is this far behind is down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from services.kit.rpc.bounds import MESSAGE_BYTES_MAX

MESSAGES_MAX = 64

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """One reader puts, one worker takes."""

    def __init__(self, *, items_max: int) -> None:
        self._items_max = items_max
        self._messages: deque[tuple[Sequence[Item], int]] = deque()
        self._waiting_bytes = 0
        self._is_ended = False
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    async def put(self, items: Sequence[Item], size_bytes: int) -> None:
        """Add a message's items, waiting while there is no room."""
        while self._messages and (
            len(self._messages) >= MESSAGES_MAX or self._waiting_bytes + size_bytes > MESSAGE_BYTES_MAX
        ):
            self._drained.clear()
            await self._drained.wait()
        self._messages.append((items, size_bytes))
        self._waiting_bytes += size_bytes
        self._filled.set()

    def end(self) -> None:
        """Nothing more will be put."""
        self._is_ended = True
        self._filled.set()

    async def take(self) -> Sequence[Item]:
        """The items of the messages that wait, at most as many as a message may hold; empty at the end."""
        while not self._messages:
            if self._is_ended:
                return ()
            self._filled.clear()
            await self._filled.wait()
        items, size_bytes = self._messages.popleft()
        self._waiting_bytes -= size_bytes
        if self._messages:
            items = self._together(list(items))
        self._drained.set()
        return items

    def _together(self, items: list[Item]) -> list[Item]:
        while self._messages and len(items) + len(self._messages[0][0]) <= self._items_max:
            more, size_bytes = self._messages.popleft()
            self._waiting_bytes -= size_bytes
            items.extend(more)
        return items
