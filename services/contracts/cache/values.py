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


KEY_BYTES = 32
"""Of an answer's key."""


class Lookup(msgspec.Struct, frozen=True):
    """Is there an answer under this key (32 bytes)? `entry_bytes_max` bounds what the fill may store."""

    call: int
    key: bytes
    entry_bytes_max: int
    traceparent: str = ""


class FillHead(msgspec.Struct, frozen=True):
    """The filler's answer begins. `facts` is JSON that belongs to the answer, opaque to the cache."""

    call: int
    status: int
    headers: HeaderPairs
    ttl_s: int
    facts: str = ""
    traceparent: str = ""


class FillChunks(msgspec.Struct, frozen=True):
    """The next bytes, as they came from the provider: an SSE answer keeps its chunks."""

    call: int
    chunks: tuple[bytes, ...]


class FillEnd(msgspec.Struct, frozen=True):
    """
    The filler is done. `facts` is JSON known at the end (usage), sent to joiners and stored in place of the head's.

    `uncacheable` before any chunk: another caller fills. After chunks: the bytes were all of them, so joiners have a
    whole answer, but it is not stored.
    """

    call: int
    outcome: Outcome
    facts: str = ""


class FillWhole(msgspec.Struct, frozen=True):
    """All of a filler's answer at once: what a head, its chunks and a whole end say. For answers that do not stream."""

    call: int
    status: int
    headers: HeaderPairs
    chunks: tuple[bytes, ...]
    ttl_s: int
    facts: str = ""
    traceparent: str = ""


class Leave(msgspec.Struct, frozen=True):
    """Nothing more comes for this call and nobody waits for its answer. From a filler: its fill has failed."""

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


CacheCall = Lookup | FillHead | FillChunks | FillEnd | FillWhole | Leave | AppendRun | ReadRun


class Hit(msgspec.Struct, frozen=True):
    """
    The stored answer, in the chunks it came in.

    `facts` are those of its `FillEnd`, or of its `FillHead` where that said none. `is_partial`: `HitPart`s follow.
    """

    call: int
    status: int
    headers: HeaderPairs
    chunks: tuple[bytes, ...]
    facts: str
    ttl_left_s: int
    is_partial: bool = False


class HitPart(msgspec.Struct, frozen=True):
    """More chunks of a hit that is too large for one message; an edge puts the parts together."""

    call: int
    chunks: tuple[bytes, ...]
    is_last: bool


class Fill(msgspec.Struct, frozen=True):
    """The caller is the filler now; may come to a joiner later, before it has had any byte. `is_degraded`: no store."""

    call: int
    is_degraded: bool = False


class Join(msgspec.Struct, frozen=True):
    """Another request is filling. `is_degraded`: no store."""

    call: int
    is_degraded: bool = False


class Watched(msgspec.Struct, frozen=True):
    """To a filler: others wait for its answer, or no longer do. While they do, it goes on without its own client."""

    call: int
    is_watched: bool


class JoinHead(msgspec.Struct, frozen=True):
    """Status, headers and facts of the answer being filled; comes with its first chunk, once for all joiners."""

    calls: tuple[int, ...]
    status: int
    headers: HeaderPairs
    facts: str = ""


class JoinChunk(msgspec.Struct, frozen=True):
    """The next bytes of the answer being filled."""

    calls: tuple[int, ...]
    chunk: bytes


class JoinEnd(msgspec.Struct, frozen=True):
    """The fill has ended; only `whole` is a whole answer."""

    calls: tuple[int, ...]
    outcome: Outcome
    facts: str


class Miss(msgspec.Struct, frozen=True):
    """Go on without the cache. `is_degraded`: because it is down, slow or full."""

    call: int
    is_degraded: bool = False


class RunEvents(msgspec.Struct, frozen=True):
    """
    Events of a resumable stream; `is_unknown` when there is no such run (any more).

    `is_end`: these are the last ones there will be. Else there may be more now: a long run is read page by page.
    """

    call: int
    first_index: int
    events: tuple[bytes, ...]
    is_end: bool
    is_unknown: bool = False


CacheReply = Hit | HitPart | Fill | Join | Watched | JoinHead | JoinChunk | JoinEnd | Miss | RunEvents
