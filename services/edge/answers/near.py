"""
The near cache: answers this edge has seen, without asking anyone.

A hit is a dictionary look-up. What is here was put by this edge's own fills, before their answer's last byte left, or
by a hit from the cache service. Bounded in bytes; the answer that was not used for the longest time leaves first.
Hazard: a purge reaches this cache only through the key, which holds the gateway's `cacheEpoch`.
"""

from __future__ import annotations

from collections import OrderedDict

from services.contracts.cache.values import Hit
from services.kit.clock import Clock

ENTRY_OVERHEAD_BYTES = 512
CHUNK_OVERHEAD_BYTES = 48
"""What Python needs beside the bytes themselves, about; a stream's chunks are often no longer than that."""


class NearCache:
    """Hits by key, of at most `bytes_max`."""

    def __init__(self, *, clock: Clock, bytes_max: int) -> None:
        self._monotonic_s = clock.monotonic_s
        self._bytes_max = bytes_max
        self._kept: OrderedDict[bytes, tuple[Hit, float, int]] = OrderedDict()
        self.used_bytes = 0
        """What all answers here take, about."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Hit | None:
        """The answer under this key while its ttl lasts."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept[1] <= self._monotonic_s():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept[0]

    def put(self, key: bytes, hit: Hit, message_bytes: int) -> None:
        """
        Keep an answer for the rest of its ttl; one that would fill the whole cache is not kept.

        `message_bytes`: what it takes in a message to or from the cache service.
        """
        kept, ttl_s, bytes_max = self._kept, hit.ttl_left_s, self._bytes_max
        if key in kept:
            self._forget(key)
        size_bytes = message_bytes + ENTRY_OVERHEAD_BYTES + CHUNK_OVERHEAD_BYTES * len(hit.chunks)
        if ttl_s <= 0 or size_bytes > bytes_max:
            return
        kept[key] = hit, self._monotonic_s() + ttl_s, size_bytes
        self.used_bytes = used_bytes = self.used_bytes + size_bytes
        if used_bytes > bytes_max:
            self._make_room()

    def _make_room(self) -> None:
        while self.used_bytes > self._bytes_max:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.used_bytes -= kept[2]
