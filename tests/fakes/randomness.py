"""Random bytes that a test can predict."""

from __future__ import annotations


class CountingBytes:
    """Blocks of bytes that count up, so that no two are the same; the first one is 1."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size_bytes: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size_bytes, "big")
