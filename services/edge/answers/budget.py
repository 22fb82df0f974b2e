"""Budget: bytes that many holders share, so that what each may hold is bounded and what all hold is too."""

from __future__ import annotations


class Budget:
    """At most `bytes_max` at once."""

    def __init__(self, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Hold that many more; False when there is no room."""
        if self.used_bytes + size_bytes > self.bytes_max:
            return False
        self.used_bytes += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        """Hold that many less."""
        self.used_bytes -= size_bytes
