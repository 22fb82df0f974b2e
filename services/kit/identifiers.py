"""
Identifiers: ULIDs for requests and instances.

A ULID is 26 characters of Crockford base 32: 48 bits of milliseconds, then 80 random bits
(https://github.com/ulid/spec), so ids sort by time. Randomness comes in as an argument.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from services.kit.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = frozenset(_ALPHABET)
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


def ulid(milliseconds: int, random_80_bits: int) -> str:
    """The ULID of that moment and that randomness."""
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random_80_bits
    return "".join([_PAIRS[value >> shift & 0x3FF] for shift in range(120, -1, -10)])


def ulid_milliseconds(text: str) -> int | None:
    """When that ULID was made; None for what is none."""
    if len(text) != 26 or not set(text) <= _CHARACTERS:
        return None
    milliseconds = 0
    for character in text[:10]:
        milliseconds = milliseconds * 32 + _ALPHABET.index(character)
    return milliseconds & 0xFFFF_FFFF_FFFF


class UlidSource:
    """Makes ULIDs. Random bytes are fetched in blocks, because a system call per request is not free."""

    def __init__(self, *, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._block = b""
        self._position = 0

    def next(self) -> str:
        """A fresh ULID."""
        if self._position >= len(self._block):
            self._block = self._random_bytes(1280)
            self._position = 0
        position = self._position
        self._position = position + 10
        return ulid(int(self._clock.wall_s() * 1000), int.from_bytes(self._block[position : position + 10], "big"))
