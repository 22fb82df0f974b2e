"""
Cache values: what an edge and a cache say to each other.

A call is one request's conversation with the cache; its number is unique on its stream, and every item
names it. A lookup is answered by a hit, by `Fill` (the caller asks the provider and sends what it gets), by
`Join` (another request is filling: head, chunks and end follow as they come), or by a miss. Hazard: a
joiner that has bytes and then gets a `JoinEnd` that is not `whole` has a broken answer; it never
continues with bytes of another fill.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["whole", "uncacheable", "failed"]
HeaderPairs = tuple[tuple[bytes, bytes], ...]


class Lookup(msgspec.Struct, frozen=True):
    """Is there an answer under this key (32 bytes)? `entry_bytes_max` bounds what the fill may store."""

    call: int
    key: bytes
    entry_bytes_max: int
    traceparent: str = ""


class FillHead(msgspec.Struct, frozen=True):
    """The filler's answer begins. `facts` is JSON that belongs to the entry (provider, model), opaque to the cache."""

    call: int
    status: int
    headers: HeaderPairs
    ttl_s: int
    facts: str = ""
    traceparent: str = ""


class FillChunk(msgspec.Struct, frozen=True):
    """The next bytes, as they came from the provider: an SSE answer keeps its chunks."""

    call: int
    chunk: bytes


class FillEnd(msgspec.Struct, frozen=True):
    """The filler is done. `facts` is JSON known at the end (usage), stored and sent to joiners."""

    call: int
    outcome: Outcome
    facts: str = ""


class Leave(msgspec.Struct, frozen=True):
    """The request behind this call is gone; a fill that others wait for goes on if its chunks go on."""

    call: int


class AppendRun(msgspec.Struct, frozen=True):
    """Events of a resumable stream, from `first_index` on."""

    call: int
    run: str
    first_index: int
    events: tuple[bytes, ...]
    is_end: bool


class ReadRun(msgspec.Struct, frozen=True):
    """Events of a resumable stream, wanted from `first_index` on."""

    call: int
    run: str
    first_index: int


CacheCall = Lookup | FillHead | FillChunk | FillEnd | Leave | AppendRun | ReadRun


class Hit(msgspec.Struct, frozen=True):
    """The stored answer, whole, in the chunks it came in."""

    call: int
    status: int
    headers: HeaderPairs
    chunks: tuple[bytes, ...]
    facts: str
    ttl_left_s: int


class Fill(msgspec.Struct, frozen=True):
    """The caller is the filler now. May come to a joiner later, before it has had any byte."""

    call: int


class Join(msgspec.Struct, frozen=True):
    """Another request is filling."""

    call: int


class JoinHead(msgspec.Struct, frozen=True):
    """Status and headers of the answer being filled."""

    call: int
    status: int
    headers: HeaderPairs


class JoinChunk(msgspec.Struct, frozen=True):
    """The next bytes of the answer being filled."""

    call: int
    chunk: bytes


class JoinEnd(msgspec.Struct, frozen=True):
    """The fill has ended; only `whole` is a whole answer."""

    call: int
    outcome: Outcome
    facts: str


class Miss(msgspec.Struct, frozen=True):
    """Go on without the cache. `is_degraded`: because its store is down."""

    call: int
    is_degraded: bool = False


class RunEvents(msgspec.Struct, frozen=True):
    """Events of a resumable stream; `is_unknown` when there is no such run (any more)."""

    call: int
    first_index: int
    events: tuple[bytes, ...]
    is_end: bool
    is_unknown: bool = False


CacheReply = Hit | Fill | Join | JoinHead | JoinChunk | JoinEnd | Miss | RunEvents
