"""
Rendezvous hashing: which replica owns a key, agreed on by everybody without a word.

Each replica's name is hashed together with the key, and the highest hash owns it. When a replica comes or goes only
its own share of the keys moves. The hash is BLAKE2b because it is the same in every process; Python's own is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class Rendezvous:
    """The owners among these names, in whatever order they were given."""

    def __init__(self, names: Iterable[str]) -> None:
        self._seeds = [(name, hashlib.blake2b(name.encode(), digest_size=8)) for name in sorted(names)]
        self._only = self._seeds[0][0] if len(self._seeds) == 1 else None
        """With one there is nothing to weigh."""

    def owner(self, key: bytes) -> str | None:
        """The name that owns the key; None when there are no names."""
        if self._only is not None:
            return self._only
        best, best_weight = None, b""
        for name, seed in self._seeds:
            weigher = seed.copy()
            weigher.update(key)
            weight = weigher.digest()
            if weight > best_weight:
                best, best_weight = name, weight
        return best


def ranked(names: Iterable[str], *, salt: bytes) -> list[str]:
    """The names in an order of the salt's own: same salt, same order, whoever else comes or goes."""
    return sorted(names, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest())
