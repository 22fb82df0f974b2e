"""
Trailing commas: published examples of universal bodies have them, JSON does not. Removes them outside of strings.

The decoder has said where the first one stands, so a body whose last comma is too many is repaired at once. Hazard: the
rest of it may be as large as the body limit allows, on the event loop. So it is one pass, in C as far as that goes, a
slice at a time with a turn of everybody else behind each; one body at a time, or many slices would be a long turn; and
beyond so many commas it is no slip of the pen. The possessive quantifiers keep it one pass: nothing is tried twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from services.edge.turns import another_turn
from services.kit.errors import Malformed

COMMAS_MAX = 1_000
_SLICE_BYTES = 32 * 1024
"""What is looked through in one or two milliseconds."""
_PLAIN = re.compile(
    rb"""(?: [^",]++ | "(?: [^"\\]++ | \\. )*+" | ,(?= [ \t\r\n]*+ [^ \t\r\n\]}] ) )*+""", re.DOTALL | re.VERBOSE
)
"""What stays as it is. Ends where it does not, and in front of a string or comma whose rest is beyond the slice."""
_IN_STRING = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)
_SPACES = re.compile(rb"[ \t\r\n]*+")


class CommaRepair:
    """Repairs bodies, one at a time; one per edge."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def without_trailing_commas(self, text: bytes, bracket_at: int) -> bytes:
        """
        The same JSON text without commas that stand right before a closing bracket; anything else stays as it is.
        `bracket_at`: the first such bracket. Raises Malformed when there are too many.
        """
        first = text.rindex(b",", 0, bracket_at)
        kept: list[bytes | memoryview] = [memoryview(text)[:first], text[first + 1 : bracket_at]]
        worked_until = bracket_at
        async with self._turn:
            for piece, at in _kept(text, bracket_at):
                kept.append(piece)
                if at - worked_until >= _SLICE_BYTES // 2:
                    worked_until = at
                    await another_turn()
        return b"".join(kept)


def _kept(text: bytes, begin: int) -> Iterator[tuple[bytes, int]]:
    """What is kept from there on, piece by piece, each with how far it goes; none took more than a slice's work."""
    at, commas_left = begin, COMMAS_MAX
    while at < len(text):
        found = _PLAIN.match(text, at, at + _SLICE_BYTES)
        assert found is not None
        at = found.end()
        yield found[0], at
        if at == found.endpos:
            continue
        if text.startswith(b'"', at):
            for end in _string_ends(text, at + 1):
                yield text[at:end], end
                at = end
            continue
        comma = at
        for end in _space_ends(text, comma + 1):
            yield b"", end
            at = end
        if text[at : at + 1] in (b"]", b"}"):
            commas_left -= 1
            yield text[comma + 1 : at], at
        else:
            yield text[comma:at], at
        if not commas_left:
            raise Malformed(f"the body must be JSON: it has more than {COMMAS_MAX} trailing commas")


def _string_ends(text: bytes, begin: int) -> Iterator[int]:
    """How far a string goes that has begun here, a slice at a time; the last one is its end."""
    at, is_end = begin, False
    while not is_end:
        found = _IN_STRING.match(text, at, at + _SLICE_BYTES)
        assert found is not None
        at = found.end()
        if at < found.endpos:
            # A quote is the end; a backslash is the slice's last octet, and goes with the next one.
            is_end = text.startswith(b'"', at)
            at = min(at + (1 if is_end else 2), len(text))
        is_end = is_end or at == len(text)
        yield at


def _space_ends(text: bytes, begin: int) -> Iterator[int]:
    """How far white space goes that begins here, a slice at a time; the last one is its end."""
    at, is_end = begin, False
    while not is_end:
        found = _SPACES.match(text, at, at + _SLICE_BYTES)
        assert found is not None
        at = found.end()
        is_end = at < found.endpos or at == len(text)
        yield at
