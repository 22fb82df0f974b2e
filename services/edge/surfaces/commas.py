"""
Trailing commas: published examples of universal bodies have them, JSON does not. Removes them outside of strings.

Hazard: this runs on every malformed body up to the body limit, on the event loop. So it is one pass, in C as far as
that goes, a slice at a time with a turn of everybody else behind each; and one body at a time, or many slices would be
a long turn. The possessive quantifiers keep it one pass: nothing is tried twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from services.edge.turns import another_turn

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

    async def without_trailing_commas(self, text: bytes) -> bytes:
        """The same JSON text without commas that stand right before a closing bracket; anything else stays as it is."""
        kept: list[bytes] = []
        async with self._turn:
            for piece in _kept(text):
                kept.append(piece)
                if len(text) > _SLICE_BYTES:
                    await another_turn()
        return b"".join(kept)


def _kept(text: bytes) -> Iterator[bytes]:
    """What is kept, in pieces that took no more than a slice's work each."""
    at = 0
    while at < len(text):
        found = _PLAIN.match(text, at, at + _SLICE_BYTES)
        assert found is not None
        yield found[0]
        begin = at = found.end()
        if at == found.endpos:
            continue
        ends = _string_ends if text.startswith(b'"', at) else _space_ends
        for end in ends(text, begin + 1):
            yield text[at:end] if ends is _string_ends else b""
            at = end
        if ends is _space_ends:
            yield text[begin + 1 : at] if text[at : at + 1] in (b"]", b"}") else text[begin:at]


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
