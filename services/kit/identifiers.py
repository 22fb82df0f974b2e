"""
Identifiers: ULIDs for requests and instances.

A ULID is 26 characters of Crockford base 32: 48 bits of milliseconds, then 80 random bits
(https://github.com/ulid/spec), so ids sort by time. Randomness comes in as an argument.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from services.kit.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = frozenset(_ALPHABET)
_CHARACTER_OF = bytes(ord(_ALPHABET[octet % 32]) for octet in range(256))
"""A random octet's character; each of the 32 has eight octets."""
_RANDOM_CHARACTERS = 16
_RANDOM_PART = re.compile(".{16}")
_IDS_DRAWN = 1_024
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
    """Makes ULIDs. Randomness is drawn for a thousand ids at a time, so that one costs little more than a join."""

    def __init__(self, *, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._random_parts: list[str] = []
        self._second = -1
        self._second_part = ""

    def next(self) -> str:
        """A fresh ULID."""
        return self.at(int(self._clock.wall_s() * 1000))

    def at(self, milliseconds: int) -> str:
        """A fresh ULID of that moment."""
        second = milliseconds >> 10
        if second != self._second:
            self._second, self._second_part = second, ulid(milliseconds, 0)[:8]
        try:
            return self._second_part + _PAIRS[milliseconds & 0x3FF] + self._random_parts.pop()
        except IndexError:
            drawn = self._random_bytes(_RANDOM_CHARACTERS * _IDS_DRAWN).translate(_CHARACTER_OF)
            self._random_parts = _RANDOM_PART.findall(drawn.decode())
            return self.at(milliseconds)
