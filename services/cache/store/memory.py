"""
Stores in memory: what one process has without Redis.

Bounded in bytes; the answer that was not used for the longest time leaves first. Nothing is swept: an answer is
past its ttl when somebody asks for it, or leaves when room is needed. These are the real thing for one replica,
and lost with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from services.cache.store.answers import Claim, Entry, Found, Kept
from services.cache.store.runs import RUN_BYTES_MAX, RUN_TTL_MS, RunAppend, RunPage, page_of
from services.kit.clock import Clock

ENTRY_OVERHEAD_BYTES = 512
"""What Python needs for an entry beside its bytes, about."""


@dataclass(slots=True)
class _Held:
    entry: Entry
    size_bytes: int
    ends_at_s: float


class MemoryAnswerStore:
    """An `AnswerStore` of at most `bytes_max`."""

    def __init__(self, *, clock: Clock, bytes_max: int) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._kept: OrderedDict[bytes, _Held] = OrderedDict()
        self._leases: dict[bytes, tuple[str, float]] = {}
        self._used_bytes = 0

    @property
    def used_bytes(self) -> int:
        """What all entries take, about."""
        return self._used_bytes

    async def claim(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[Claim]:
        """See `AnswerStore`."""
        now_s = self._clock.monotonic_s()
        return [self._claim(key, owner, now_s, lease_ms) for key in keys]

    async def keep(self, answers: Sequence[Kept], *, owner: str) -> Sequence[bool]:
        """See `AnswerStore`."""
        return [self._keep(each, owner) for each in answers]

    async def release(self, keys: Sequence[bytes], *, owner: str) -> None:
        """See `AnswerStore`."""
        for key in keys:
            self._give_back(key, owner)

    async def renew(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[bool]:
        """See `AnswerStore`."""
        now_s = self._clock.monotonic_s()
        return [self._take_lease(key, owner, now_s, lease_ms) for key in keys]

    def _keep(self, answer: Kept, owner: str) -> bool:
        self._give_back(answer.key, owner)
        size_bytes = answer.entry.size_bytes + ENTRY_OVERHEAD_BYTES
        if size_bytes > self._bytes_max:
            return False
        self._forget(answer.key)
        ends_at_s = self._clock.monotonic_s() + answer.ttl_ms / 1000
        self._kept[answer.key] = _Held(answer.entry, size_bytes, ends_at_s)
        self._used_bytes += size_bytes
        while self._used_bytes > self._bytes_max:
            self._forget(next(iter(self._kept)))
        return True

    def _claim(self, key: bytes, owner: str, now_s: float, lease_ms: int) -> Claim:
        kept = self._kept.get(key)
        if kept is not None and kept.ends_at_s > now_s:
            self._kept.move_to_end(key)
            return Found(kept.entry, int((kept.ends_at_s - now_s) * 1000))
        self._forget(key)
        return "ours" if self._take_lease(key, owner, now_s, lease_ms) else "theirs"

    def _take_lease(self, key: bytes, owner: str, now_s: float, lease_ms: int) -> bool:
        held = self._leases.get(key)
        if held is not None and held[0] != owner and held[1] > now_s:
            return False
        self._leases[key] = (owner, now_s + lease_ms / 1000)
        return True

    def _give_back(self, key: bytes, owner: str) -> None:
        held = self._leases.get(key)
        if held is not None and held[0] == owner:
            del self._leases[key]

    def _forget(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._used_bytes -= kept.size_bytes


@dataclass(slots=True)
class _Run:
    events: list[bytes]
    size_bytes: int
    is_ended: bool
    ends_at_s: float


class MemoryRunStore:
    """A `RunStore` of at most `bytes_max`; the run that was written to the longest ago leaves first."""

    def __init__(self, *, clock: Clock, bytes_max: int) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._used_bytes = 0

    async def append(self, appends: Sequence[RunAppend]) -> Sequence[bool]:
        """See `RunStore`."""
        return [self._append(append) for append in appends]

    async def read(self, run: str, first_index: int) -> RunPage | None:
        """See `RunStore`."""
        known = self._known(run)
        return None if known is None else page_of(known.events, first_index, is_ended=known.is_ended)

    def _append(self, append: RunAppend) -> bool:
        known = self._known(append.run) or _Run([], 0, is_ended=False, ends_at_s=0.0)
        fresh = append.events[max(0, len(known.events) - append.first_index) :]
        size_bytes = sum(map(len, fresh))
        is_hole = append.first_index > len(known.events)
        if is_hole or known.size_bytes + size_bytes > min(RUN_BYTES_MAX, self._bytes_max):
            self._forget(append.run)
            return False
        known.events += fresh
        known.size_bytes += size_bytes
        known.is_ended = known.is_ended or append.is_end
        known.ends_at_s = self._clock.monotonic_s() + RUN_TTL_MS / 1000
        self._runs[append.run] = known
        self._runs.move_to_end(append.run)
        self._used_bytes += size_bytes
        self._make_room()
        return True

    def _known(self, run: str) -> _Run | None:
        known = self._runs.get(run)
        if known is not None and known.ends_at_s <= self._clock.monotonic_s():
            self._forget(run)
            return None
        return known

    def _make_room(self) -> None:
        while self._used_bytes > self._bytes_max:
            self._forget(next(iter(self._runs)))

    def _forget(self, run: str) -> None:
        known = self._runs.pop(run, None)
        if known is not None:
            self._used_bytes -= known.size_bytes
