"""
Run stores: the last minutes of resumable streams.

A run is the events of one stream, numbered from 0. Writers append in order; a reader asks from a number on and
gets a page. Hazard: a run never has a hole. If events were lost on the way to the store, the run is forgotten
as a whole, because a reader cannot see what is missing in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

RUN_TTL_MS = 330_000
"""Kept that long after the last append: five minutes to come back in, and half of one to notice the loss."""
RUN_BYTES_MAX = 8 * 1024 * 1024
"""A longer stream is forgotten: it can be followed, not resumed."""
PAGE_BYTES_MAX = 1024 * 1024
"""About as much as one message carries."""


class RunAppend(msgspec.Struct, frozen=True):
    """Events of one run, from `first_index` on."""

    run: str
    first_index: int
    events: tuple[bytes, ...]
    is_end: bool


class RunPage(msgspec.Struct, frozen=True):
    """Events from the number asked for on. `is_end`: the stream ends with them."""

    events: tuple[bytes, ...]
    is_end: bool


class RunStore(Protocol):
    """Events of streams by run id. Every method raises DependencyUnavailable when the store is out of reach."""

    async def append(self, appends: Sequence[RunAppend]) -> Sequence[bool]:
        """
        Add events, in order. Those that are there already are passed over, so an append may be repeated.

        False: the run is forgotten now, for a hole before these events, for its size, or because the store is full.
        """
        ...

    async def read(self, run: str, first_index: int) -> RunPage | None:
        """A page of events, empty when there is nothing new; None: no such run (any more)."""
        ...


def page_of(events: Sequence[bytes], first_index: int, *, is_ended: bool) -> RunPage:
    """As many of the events as a page holds, at least one if there is any."""
    size_bytes = 0
    page: list[bytes] = []
    for event in events[first_index:]:
        size_bytes += len(event)
        if page and size_bytes > PAGE_BYTES_MAX:
            break
        page.append(event)
    return RunPage(tuple(page), is_ended and first_index + len(page) >= len(events))
