"""
Turns: long work on a large body, a piece in each turn of the loop.

A body at the limit takes tens of milliseconds to hash or to count, and a second to repair. Done at once that would be
everybody's pause, so whoever looks at all of such a body does it here. What one C call must do on the whole body stays
one turn, with a turn of the others before and after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

LARGE_BYTES = 256 * 1024
"""What is larger is worked on in turns: less is done in about a millisecond."""


async def in_turns(body: bytes) -> AsyncIterator[bytes]:
    """The body in pieces, with a turn of everybody else behind each."""
    for at in range(0, len(body), LARGE_BYTES):
        yield body[at : at + LARGE_BYTES]
        await another_turn()


async def another_turn() -> None:
    """Everybody else has a turn."""
    await asyncio.sleep(0)
