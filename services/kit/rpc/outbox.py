"""
Outbox: items that wait to leave together.

Whatever is put in during one turn of the loop, or while a message is being written, leaves as one message: that
is what makes an item cost 12 us instead of the 425 us of a call of its own. `take` cuts where a message gets
too long. Hazard: `put` answers False when it is full, and the item is then not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from services.kit.rpc.bounds import ITEM_BYTES_MAX, MESSAGE_BYTES_CUT, Bounds
from services.kit.rpc.link import Wire

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """A bounded first-in, first-out queue that is emptied a message at a time."""

    def __init__(self, *, wire: Wire[Item], bounds: Bounds) -> None:
        self._size_bytes: Callable[[Item], int] = wire.size_bytes
        self._message_items_max = wire.items_max
        self._items_max = bounds.items_max
        self._bytes_max = bounds.bytes_max
        self._items: list[Item] = []
        self._waiting_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, size_bytes: int = 0) -> bool:
        """
        Add an item; False when there is no room for it, or when no message could ever hold it.

        Without `size_bytes` the wire is asked.
        """
        items = self._items
        size_bytes = size_bytes or self._size_bytes(item)
        waiting_bytes = self._waiting_bytes + size_bytes
        if waiting_bytes > self._bytes_max or size_bytes > ITEM_BYTES_MAX or len(items) >= self._items_max:
            return False
        self._waiting_bytes = waiting_bytes
        items.append(item)
        return True

    def take(self) -> list[Item]:
        """The items of the next message, in order; empty when nothing waits."""
        if self._waiting_bytes > MESSAGE_BYTES_CUT or len(self._items) > self._message_items_max:
            return self._cut()
        items = self._items
        self.clear()
        return items

    def restore(self, items: Iterable[Item]) -> None:
        """Put in what was taken before and kept elsewhere, whose own bound holds: nothing is refused."""
        for item in items:
            self._items.append(item)
            self._waiting_bytes += self._size_bytes(item)

    def clear(self) -> None:
        """Forget what waits."""
        self._items, self._waiting_bytes = [], 0

    def _cut(self) -> list[Item]:
        """At least one item, and as many as one message may hold. Cuts are rare, so sizes are asked for again."""
        count = cut_bytes = 0
        for size_bytes in map(self._size_bytes, self._items[: self._message_items_max]):
            if count and cut_bytes + size_bytes > MESSAGE_BYTES_CUT:
                break
            count += 1
            cut_bytes += size_bytes
        items = self._items[:count]
        del self._items[:count]
        self._waiting_bytes -= cut_bytes
        return items
