"""
The keeper: the store, for `Fills`, which does not wait.

What is asked during one turn of the loop goes to the store as one batch in a task of its own, so a slow store delays
nothing but its own answers. What is to be stored or given back is written by one task, a batch at a time: what comes
while a batch is written leaves with the next one. When the store is out of reach the breaker refuses at once and the
answer is `down`: fills and joins go on in this replica's memory.

Where another replica has the lease, its answer is awaited for a short while, which is what an edge's patience allows,
and then this replica fills too. So while edges disagree about the replicas there are at most two calls of a provider,
one a replica. Hazard: the store may hear of a key after its fill has ended; leases are therefore given back by owner.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from services.cache.counts import Counts
from services.cache.fills import Answer
from services.cache.limits import Limits
from services.cache.store.answers import AnswerStore, Claim, Found, Kept
from services.kit.errors import DependencyUnavailable

Then = Callable[[bytes, Answer], None]

ASKED_MAX = 32
"""Keys in one batch. Their answers come back in one piece, and have the store's whole deadline to do so."""
KEPT_MAX = 32
KEPT_BYTES_CUT = 1024 * 1024
"""Answers stored in one batch, and the bytes after which no more are added: they share one deadline as well."""


class StoreKeeper:
    """A `Keeper` before an `AnswerStore`. Its tasks run in the group it is given."""

    def __init__(
        self, *, store: AnswerStore, owner: str, tasks: asyncio.TaskGroup, limits: Limits, counts: Counts
    ) -> None:
        self._store = store
        self._owner = owner
        self._tasks = tasks
        self._limits = limits
        self._counts = counts
        self._asked: list[tuple[bytes, Then]] = []
        self._released: list[bytes] = []
        self._keeping: deque[tuple[Kept, Callable[[], None]]] = deque()
        self._is_due = False
        self._is_writing = False

    def ask(self, key: bytes, then: Then) -> None:
        """See `Keeper`."""
        self._asked.append((key, then))
        self._flush_soon()

    def release(self, key: bytes) -> None:
        """See `Keeper`."""
        self._released.append(key)
        self._flush_soon()

    def keep(self, key: bytes, found: Found, then: Callable[[], None]) -> None:
        """See `Keeper`."""
        if len(self._keeping) >= self._limits.keeps_max:
            self._counts.unkept += 1
            self.release(key)
            asyncio.get_running_loop().call_soon(then)
            return
        self._keeping.append((Kept(key, found.entry, found.ttl_left_ms), then))
        self._flush_soon()

    async def renew(self, keys: Sequence[bytes], lost: Callable[[bytes], None]) -> None:
        """Hold the leases of these keys for longer; `lost` is told which another replica has."""
        try:
            held = await self._store.renew(keys, owner=self._owner, lease_ms=self._limits.lease_ms)
        except DependencyUnavailable:
            return
        for key, is_held in zip(keys, held, strict=True):
            if not is_held:
                lost(key)

    def _flush_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), ASKED_MAX):
            self._tasks.create_task(self._ask(asked[start : start + ASKED_MAX]))
        if (self._keeping or self._released) and not self._is_writing:
            self._is_writing = True
            self._tasks.create_task(self._write())

    async def _ask(self, asked: list[tuple[bytes, Then]]) -> None:
        """Answer each key as soon as it can be; those that another replica fills are asked for again."""
        waited_s = 0.0
        while asked:
            claims = await self._claim([key for key, _ in asked])
            theirs: list[tuple[bytes, Then]] = []
            is_patient = waited_s < self._limits.foreign_wait_s
            for (key, then), claim in zip(asked, claims, strict=True):
                if claim == "theirs" and is_patient:
                    theirs.append((key, then))
                else:
                    then(key, claim)
            if theirs:
                self._counts.foreign_waits += 0 if waited_s else len(theirs)
                await asyncio.sleep(self._limits.foreign_poll_s)
                waited_s += self._limits.foreign_poll_s
            asked = theirs

    async def _claim(self, keys: list[bytes]) -> Sequence[Claim] | Sequence[Answer]:
        try:
            return await self._store.claim(keys, owner=self._owner, lease_ms=self._limits.lease_ms)
        except DependencyUnavailable:
            return ["down"] * len(keys)

    async def _write(self) -> None:
        """Store and give back until nothing waits."""
        try:
            while self._keeping or self._released:
                released, self._released = self._released, []
                if released:
                    await self._release(released)
                if self._keeping:
                    await self._keep(self._next_keeping())
        finally:
            self._is_writing = False

    def _next_keeping(self) -> list[tuple[Kept, Callable[[], None]]]:
        """The answers of the next batch: at least one."""
        keeping = [self._keeping.popleft()]
        batch_bytes = keeping[0][0].entry.size_bytes
        while self._keeping and len(keeping) < KEPT_MAX and batch_bytes < KEPT_BYTES_CUT:
            keeping.append(self._keeping.popleft())
            batch_bytes += keeping[-1][0].entry.size_bytes
        return keeping

    async def _keep(self, keeping: list[tuple[Kept, Callable[[], None]]]) -> None:
        kept: Sequence[bool] = ()
        try:
            kept = await self._store.keep([answer for answer, _ in keeping], owner=self._owner)
        except DependencyUnavailable:
            pass
        finally:
            for _, then in keeping:
                then()
        kept_count = sum(kept)
        self._counts.kept += kept_count
        self._counts.unkept += len(keeping) - kept_count

    async def _release(self, keys: list[bytes]) -> None:
        try:
            await self._store.release(keys, owner=self._owner)
        except DependencyUnavailable:
            return
