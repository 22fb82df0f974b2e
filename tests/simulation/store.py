"""
Store: the one that all simulated limiters share, watched, sometimes away, and restarted as Redis is.

Around the real memory store lies a journal of what was decided and when, as Redis' append-only file is one. A restart
plays the journal into a new store: all of it, all but its last second (what was not synced yet), or nothing (no file).

Checked at every decision: held + spent never above the limit, also after a restart. What was left by then is kept, to
compare it with what clients are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from services.contracts.limiter.values import Bucket, Grant, LeaseAnswer, LeaseRequest, Report
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable
from services.limiter.memory import MemoryLeaseStore
from tests.simulation.account import Account, LeaseId
from tests.simulation.turns import at_once
from tests.simulation.world import WorldClock

OpenStore = Callable[[Clock], MemoryLeaseStore]
Absence = Literal["refused", "mute"]
"""Out of reach: refused before anything is decided, or decided without anybody hearing the answer."""
Kept = Literal["everything", "all but its last second", "nothing"]


class ToldClock:
    """A clock that shows what it is told: now, or a moment of the journal."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def wall_s(self) -> float:
        return self.now_s

    monotonic_s = boottime_s = wall_s


class SharedStore:
    """Implements LeaseStore."""

    def __init__(
        self, *, bucket: Bucket, limit: int, clock: WorldClock, account: Account, open_store: OpenStore
    ) -> None:
        self.absence: Absence | None = None
        self.expires_us: dict[LeaseId, int] = {}
        self.spent: dict[LeaseId, int] = {}
        """The most that was reported of each lease."""
        self.granted: dict[LeaseId, int] = {}
        self.left: dict[LeaseId, int] = {}
        """What nobody held and nobody had spent when each lease was granted, or its grant repeated."""
        self._bucket = bucket
        self._limit = limit
        self._clock = clock
        self._account = account
        self._open_store = open_store
        self._told = ToldClock()
        self._store = open_store(self._told)
        self._journal: list[tuple[float, Sequence[LeaseRequest]]] = []
        self._granted_at: dict[LeaseId, int] = {}
        """Where in the journal each lease was granted."""
        self._latest_us = 0
        self._stepped_at_entry = 0

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        if self.absence == "refused":
            raise DependencyUnavailable("redis is out of reach")
        self._told.now_s = self._clock.wall_s()
        self._latest_us = self.now_us()
        answers = await self._store.decide(requests)
        for request, answer in zip(requests, answers, strict=True):
            self._watch(request, answer)
        self._journal.append((self._told.now_s, requests))
        self._check_usage(answers, requests)
        if self.absence == "mute":
            raise DependencyUnavailable("redis did not answer in time")
        return answers

    async def check(self) -> None: ...

    def now_us(self) -> int:
        """The bucket's time if it were asked now: never before that of its last decision."""
        return max(self._latest_us, round(self._clock.wall_s() * 1_000_000))

    def late_us(self, lease: LeaseId) -> int:
        """How long ago it expired; below 0 while it lives."""
        return self.now_us() - self.expires_us[lease]

    def step(self, seconds: float) -> None:
        """Set its clock."""
        self._clock.step_wall(seconds)
        if seconds > 0:
            self._stepped_at_entry = len(self._journal)

    def was_stepped_over(self, lease: LeaseId) -> bool:
        """Granted before the clock was set forward, so it may have expired before its time."""
        return self._granted_at.get(lease, 0) < self._stepped_at_entry

    def restart(self, kept: Kept) -> None:
        """Begin again with what the journal has."""
        entries = self._kept_entries(kept)
        lost = {lease for lease, entry in self._granted_at.items() if entry >= entries}
        self._account.forget(lost)
        for lease in lost:
            del self._granted_at[lease]
        del self._journal[entries:]
        self._stepped_at_entry = min(self._stepped_at_entry, entries)
        self._store, self._latest_us = self._open_store(self._told), 0
        for at_s, requests in self._journal:
            self._told.now_s = at_s
            self._latest_us = max(self._latest_us, round(at_s * 1_000_000))
            at_once(self._store.decide(requests))

    def _kept_entries(self, kept: Kept) -> int:
        if kept == "everything":
            return len(self._journal)
        if kept == "nothing":
            return 0
        unsynced_s = self._clock.wall_s() - 1
        return next((entry for entry, (at_s, _) in enumerate(self._journal) if at_s >= unsynced_s), len(self._journal))

    def _watch(self, request: LeaseRequest, answer: LeaseAnswer) -> None:
        lease = request.edge, request.sequence
        if isinstance(request, Report):
            self.spent[lease] = max(self.spent.get(lease, 0), request.spent)
        elif isinstance(answer, Grant) and lease not in self._granted_at:
            self._granted_at[lease] = len(self._journal)
            self.expires_us[lease] = self._latest_us + answer.valid_ms * 1000

    def _check_usage(self, answers: Sequence[LeaseAnswer], requests: Sequence[LeaseRequest]) -> None:
        held, spent = self._store.usage(self._bucket)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Grant):
                lease = request.edge, request.sequence
                self.granted[lease] = answer.units
                self.left[lease] = max(self.left.get(lease, 0), self._limit - held - spent)
        if held + spent > self._limit:
            self._account.violations.append(f"held {held} + spent {spent} is above the limit of {self._limit}")
