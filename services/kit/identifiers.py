"""
Identifiers: ULIDs for requests and instances.

A ULID is 26 characters of Crockford base 32: 48 bits of milliseconds, then 80 random bits
(https://github.com/ulid/spec), so ids sort by time. Randomness comes in as an argument.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

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
    """
    Makes ULIDs. The random part of a thousand of them differs in its last ten bits only, which count.

    The specification allows it, their order within a millisecond is that in which they were made, and an id costs a
    tenth of one that is random throughout. Sources do not meet: 70 bits are random anew for each block.
    """

    def __init__(self, *, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._random_part = ""
        self._counts: Iterator[str] = iter(())
        self._age = -1
        self._age_part = ""

    def next(self) -> str:
        """A fresh ULID."""
        return self.at(int(self._clock.wall_s() * 1000))

    def at(self, milliseconds: int) -> str:
        """A fresh ULID of that moment."""
        count = next(self._counts, "")
        if not count:
            count = self._begin_block()
        age = milliseconds >> 20
        if age != self._age:
            self._age, self._age_part = age, ulid(milliseconds, 0)[:6]
        pairs = _PAIRS
        seconds, rest = pairs[milliseconds >> 10 & 0x3FF], pairs[milliseconds & 0x3FF]
        return f"{self._age_part}{seconds}{rest}{self._random_part}{count}"

    def _begin_block(self) -> str:
        random_80_bits = int.from_bytes(self._random_bytes(10), "big")
        self._random_part = ulid(0, random_80_bits)[12:]
        self._counts = iter(_PAIRS)
        return next(self._counts)
