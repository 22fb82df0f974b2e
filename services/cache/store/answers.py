"""
Answer stores: stored answers, and leases on filling them.

An answer is written once, whole, under a key it shares with nothing else, and leaves by its ttl. Beside it lives the
fill lease: the name of the replica that has a fill for this key under way, so that two replicas that are
asked for the same key (edges see a change of replicas some seconds apart) do not both call the provider. A
lease is short and renewed while its fill lives: a replica that dies holds nothing for long.

Hazard: `claim` is one decision. Asking for the answer and then for the lease would let a fill end in between,
and its whole answer be fetched a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal, Protocol

import msgspec

from services.contracts.cache.values import HeaderPairs

CHUNK_OVERHEAD_BYTES = 48
"""What Python needs for a bytes object beside its bytes, about; a stream's chunks are often no longer than that."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A whole answer, its chunks as they came. `facts` is its filler's JSON, opaque here."""

    status: int
    headers: HeaderPairs
    chunks: tuple[bytes, ...]
    facts: str = ""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        pairs = sum(map(len, chain.from_iterable(self.headers)))
        return sum(map(len, self.chunks)) + CHUNK_OVERHEAD_BYTES * len(self.chunks) + pairs + len(self.facts)


class Found(msgspec.Struct, frozen=True):
    """There is an answer."""

    entry: Entry
    ttl_left_ms: int


class Kept(msgspec.Struct, frozen=True):
    """An answer to be stored, for how long."""

    key: bytes
    entry: Entry
    ttl_ms: int


Claim = Found | Literal["ours", "theirs", "nobody's"]
"""
What a claim got: the answer; the lease; that another replica has the lease; or neither.

Neither: the store answers but cannot keep a lease, because it is full. Whoever claimed fills without one.
"""


class AnswerStore(Protocol):
    """Answers and fill leases. Every method raises DependencyUnavailable when the store is out of reach."""

    async def claim(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[Claim]:
        """For each key, in order: its answer, or the lease to fill it. Claiming a lease one holds renews it."""
        ...

    async def keep(self, answers: Sequence[Kept], *, owner: str) -> Sequence[bool]:
        """Store whole answers, in order, and give the owner's leases back. False: the store has no room for it."""
        ...

    async def release(self, keys: Sequence[bytes], *, owner: str) -> None:
        """Give leases back. One that another owner holds stays."""
        ...

    async def renew(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[bool]:
        """Hold leases for longer, or take up those that nobody holds any more; False: another owner has it."""
        ...
