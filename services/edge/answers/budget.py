"""
Budget: bytes that many holders share, so that what each may hold is bounded and what all hold is too.

A piece that several hold counts once, because it is there once. Hazard: whoever holds a piece gives it back once.
"""

from __future__ import annotations


class Budget:
    """At most `bytes_max` at once."""

    def __init__(self, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0
        self._holders: dict[int, int] = {}
        """Of each piece, by its identity: those that are held exist."""

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return self.bytes_max - self.used_bytes

    def take(self, size_bytes: int) -> bool:
        """Hold that many more; False when there is no room."""
        if self.used_bytes + size_bytes > self.bytes_max:
            return False
        self.used_bytes += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        """Hold that many less."""
        self.used_bytes -= size_bytes

    def take_piece(self, piece: bytes) -> bool:
        """Hold a piece that others may hold as well; False when there is no room."""
        holders = self._holders.get(id(piece), 0)
        if not holders and not self.take(len(piece)):
            return False
        self._holders[id(piece)] = holders + 1
        return True

    def give_piece(self, piece: bytes) -> None:
        """Hold it no more."""
        holders = self._holders.pop(id(piece)) - 1
        if holders:
            self._holders[id(piece)] = holders
        else:
            self.give(len(piece))
