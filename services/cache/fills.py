"""
Fills: one provider call for many identical requests.

The first caller of a key has the store asked. If nothing is stored it becomes the filler, and whoever asks for the same
key meanwhile waits for its answer or, once bytes have come, follows it from the first one on. When the filler fails,
answers uncacheably or is silent for 2 s, exactly one of those who wait becomes filler too; a silent one may still
speak, and whoever speaks first serves those who wait. A caller that has bytes never gets another fill's: if its
filler fails, its answer ends broken.

Nothing here waits: calls come in, replies go out on streams, and the store is a `Keeper` that is told what to do and
tells later what came of it. Time is looked at in `tick`. Hazard: a fill leaves the table when its answer is in the
store, but slower attempts at the same answer may still have followers; they go on outside the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

from services.cache.attempt import Attempt
from services.cache.counts import Counts
from services.cache.limits import Limits
from services.cache.store.answers import Claim, Entry, Found
from services.cache.stream import Caller
from services.contracts.cache.values import Fill, FillHead, FillWhole, Outcome, Watched
from services.kit.clock import Clock

Answer = Claim | Literal["down"]
"""What the store said; `down`: nothing."""


class Keeper(Protocol):
    """The store, for someone who does not wait."""

    def ask(self, key: bytes, then: Callable[[bytes, Answer], None]) -> None:
        """Look for an answer, or for the lease to fill it; `then` is called later, once."""
        ...

    def keep(self, key: bytes, found: Found, then: Callable[[], None]) -> None:
        """Store an answer and give the lease back; `then` is called later, once, whether it was stored or not."""
        ...

    def release(self, key: bytes) -> None:
        """Give the lease back."""
        ...


class KeyFill:
    """One key under way."""

    __slots__ = ("answer", "attempts", "failures", "has_lease", "is_asking", "is_degraded", "is_over", "key", "waiting")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.waiting: dict[Caller, None] = {}
        """Callers without bytes, in the order they came."""
        self.attempts: list[Attempt] = []
        """Under way, oldest first."""
        self.answer: Found | None = None
        """Whole, and on its way into the store."""
        self.failures = 0
        self.is_asking = True
        """The store has not answered yet."""
        self.has_lease = False
        self.is_degraded = False
        self.is_over = False


_NO_ROLE: tuple[KeyFill | None, Attempt | None] = (None, None)


class Fills:
    """All keys under way in this replica."""

    def __init__(self, *, keeper: Keeper, clock: Clock, limits: Limits, counts: Counts) -> None:
        self._keeper = keeper
        self._monotonic_s = clock.monotonic_s
        self._limits = limits
        self._counts = counts
        self._fills: dict[bytes, KeyFill] = {}
        self._roles: dict[Caller, tuple[KeyFill, Attempt | None]] = {}
        self._joining: dict[KeyFill, None] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._fills)

    @property
    def held_bytes(self) -> int:
        """Of all answers under way."""
        return self._held_bytes

    def leased(self) -> list[bytes]:
        """Keys whose lease is to be renewed."""
        return [fill.key for fill in self._fills.values() if fill.has_lease and fill.answer is None]

    def lease_lost(self, key: bytes) -> None:
        """Another replica has it now: this fill goes on without."""
        fill = self._fills.get(key)
        if fill is not None:
            fill.has_lease = False

    def look_up(self, caller: Caller) -> None:
        """A call begins. After the calls of one message, `flush`."""
        fill = self._fills.get(caller.key)
        if fill is None:
            self._begin(caller)
        elif fill.answer is not None:
            self._hit(caller, fill.answer)
        elif fill.is_asking:
            self._wait(fill, caller)
        else:
            self._join(fill, caller)

    def flush(self) -> None:
        """Give those who joined an answer under way the bytes it has: once a stream, however many joined."""
        joining, self._joining = self._joining, {}
        for fill in joining:
            attempt = self._joinable(fill)
            if fill.waiting and attempt is not None and attempt.is_speaking:
                self._adopt(fill, attempt)

    def head(self, caller: Caller, head: FillHead) -> None:
        """The filler's answer begins. Joiners hear of it with the first byte, so that until then another may fill."""
        _, attempt = self._roles.get(caller, _NO_ROLE)
        if attempt is not None and attempt.filler is caller:
            attempt.head = head
            attempt.heard_at_s = self._monotonic_s()

    def chunks(self, caller: Caller, chunks: Sequence[bytes]) -> None:
        """The filler's next bytes."""
        fill, attempt = self._roles.get(caller, _NO_ROLE)
        chunks = tuple(filter(None, chunks))
        if fill is None or attempt is None or attempt.filler is not caller or attempt.head is None or not chunks:
            return
        attempt.heard_at_s = self._monotonic_s()
        if attempt.followers:
            attempt.relay(chunks)
        if not attempt.is_held:
            return
        self._held_bytes += attempt.hold(chunks)
        if fill.waiting:
            self._adopt(fill, attempt)
        if attempt.held_bytes > caller.entry_bytes_max or self._held_bytes > self._limits.held_bytes_max:
            self._counts.oversized += 1
            self._held_bytes -= attempt.let_go()
            self._tell_fillers(fill)

    def whole(self, caller: Caller, whole: FillWhole) -> None:
        """All of the filler's answer. Whoever joined before gets it in its parts, as from any other filler."""
        fill, attempt = self._roles.get(caller, _NO_ROLE)
        if fill is None or attempt is None or attempt.filler is not caller:
            return
        size_bytes = sum(map(len, whole.chunks))
        is_kept = size_bytes <= caller.entry_bytes_max and self._held_bytes + size_bytes <= self._limits.held_bytes_max
        if fill.waiting or attempt.followers or attempt.head is not None or not is_kept:
            self.head(caller, FillHead(whole.call, whole.status, whole.headers, whole.ttl_s, whole.facts))
            self.chunks(caller, whole.chunks)
            self.end(caller, "whole", whole.facts)
            return
        self._counts.fills["whole"] += 1
        self._over(caller)
        fill.attempts.remove(attempt)
        entry = Entry(whole.status, whole.headers, tuple(filter(None, whole.chunks)), whole.facts)
        if not self._keep(fill, entry, whole.ttl_s):
            self._settle(fill)

    def end(self, caller: Caller, outcome: Outcome, facts: str) -> None:
        """The filler is done."""
        fill, attempt = self._roles.get(caller, _NO_ROLE)
        if fill is None or attempt is None or attempt.filler is not caller:
            return
        self._counts.fills[outcome] += 1
        is_complete = outcome == "whole" or (outcome == "uncacheable" and attempt.is_speaking)
        if is_complete and fill.waiting and attempt.head is not None and attempt.is_held:
            self._adopt(fill, attempt)
        self._over(caller)
        fill.attempts.remove(attempt)
        self._finish(attempt, is_complete=is_complete, facts=facts)
        entry = attempt.entry(facts) if outcome == "whole" else None
        self._held_bytes -= attempt.let_go()
        if entry is None or attempt.head is None or not self._keep(fill, entry, attempt.head.ttl_s):
            fill.failures += 0 if is_complete else 1
            self._settle(fill)

    def leave(self, caller: Caller) -> None:
        """The call is over for its edge."""
        fill, attempt = self._roles.get(caller, _NO_ROLE)
        if attempt is not None and attempt.filler is caller:
            self.end(caller, "failed", "")
            return
        self._over(caller)
        if fill is None:
            return
        if attempt is not None:
            attempt.drop(caller)
        fill.waiting.pop(caller, None)
        self._tell_fillers(fill)

    def leave_together(self, callers: Iterable[Caller]) -> None:
        """
        These are over at once, as when their edge is lost. Fillers go last, so that none hands over to another of them.
        """
        fillers: list[Caller] = []
        for caller in callers:
            _, attempt = self._roles.get(caller, _NO_ROLE)
            if attempt is not None and attempt.filler is caller:
                fillers.append(caller)
            else:
                self.leave(caller)
        for caller in fillers:
            self.leave(caller)

    def tick(self) -> None:
        """Time has passed: see whose filler is silent or gone."""
        now_s = self._monotonic_s()
        for fill in list(self._fills.values()):
            if fill.is_asking or fill.answer is not None:
                continue
            for attempt in list(fill.attempts):
                if now_s - attempt.heard_at_s >= self._limits.abandoned_s:
                    self.end(attempt.filler, "failed", "")
            if fill.waiting and not fill.is_over and self._is_silent(fill, now_s):
                self._counts.takeovers += 1
                self._promote(fill, _beside_the_silent(fill))

    def _begin(self, caller: Caller) -> None:
        if len(self._fills) >= self._limits.fills_max:
            self._counts.lookups["miss"] += 1
            caller.stream.miss(caller, is_degraded=True)
            return
        fill = self._fills[caller.key] = KeyFill(caller.key)
        self._wait(fill, caller)
        self._keeper.ask(caller.key, self._answered)

    def _answered(self, key: bytes, answer: Answer) -> None:
        """The store has said what it knows of a key."""
        fill = self._fills[key]
        fill.is_asking = False
        if isinstance(answer, Found):
            self._forget(fill)
            self._hit_waiting(fill, answer)
            return
        fill.has_lease = answer == "ours"
        fill.is_degraded = answer == "down"
        if not fill.waiting:
            self._forget(fill)
            return
        self._promote(fill, next(iter(fill.waiting)))
        for caller in fill.waiting:
            self._counts.lookups["join"] += 1
            caller.stream.join(caller, is_degraded=fill.is_degraded)

    def _join(self, fill: KeyFill, caller: Caller) -> None:
        """A fill is under way: wait for it, or fill as well if nobody speaks, or go on alone if it is too late."""
        attempt = self._joinable(fill)
        if attempt is not None:
            self._wait(fill, caller)
            self._counts.lookups["join"] += 1
            caller.stream.join(caller, is_degraded=fill.is_degraded)
            if attempt.is_speaking:
                self._joining[fill] = None
        elif self._is_silent(fill, self._monotonic_s()):
            self._promote(fill, caller)
        else:
            self._counts.lookups["miss"] += 1
            caller.stream.miss(caller)

    def _wait(self, fill: KeyFill, caller: Caller) -> None:
        fill.waiting[caller] = None
        self._roles[caller] = (fill, None)
        self._tell_fillers(fill)

    def _promote(self, fill: KeyFill, caller: Caller) -> None:
        """This caller fills."""
        fill.waiting.pop(caller, None)
        attempt = Attempt(caller, now_s=self._monotonic_s())
        fill.attempts.append(attempt)
        self._roles[caller] = (fill, attempt)
        self._counts.lookups["fill"] += 1
        caller.end_span("fill")
        caller.stream.reply(Fill(caller.call, fill.is_degraded))
        self._tell_fillers(fill)

    def _adopt(self, fill: KeyFill, attempt: Attempt) -> None:
        """All who wait follow this attempt."""
        waiting, fill.waiting = fill.waiting, {}
        attempt.follow(waiting)
        for caller in waiting:
            self._roles[caller] = (fill, attempt)
        self._tell_fillers(fill)

    def _finish(self, attempt: Attempt, *, is_complete: bool, facts: str) -> None:
        for group in attempt.followers.values():
            for caller in group.values():
                self._roles.pop(caller, None)
        attempt.finish("whole" if is_complete else "failed", facts if is_complete else "")

    def _keep(self, fill: KeyFill, entry: Entry, ttl_s: int) -> bool:
        """A whole answer goes to the store, and to all who ask until it is there. False: it does not."""
        if fill.is_over or ttl_s <= 0:
            return False
        if fill.answer is not None:
            return True
        fill.answer = Found(entry, ttl_s * 1000)
        size_bytes = entry.size_bytes
        self._held_bytes += size_bytes
        self._hit_waiting(fill, fill.answer)

        def kept() -> None:
            self._held_bytes -= size_bytes
            self._forget(fill, is_released=True)

        self._keeper.keep(fill.key, fill.answer, kept)
        return True

    def _settle(self, fill: KeyFill) -> None:
        """An attempt ended without an answer for the store: see to those who wait."""
        if fill.is_over or fill.answer is not None:
            return
        if fill.waiting and not any(self._is_joinable(attempt) for attempt in fill.attempts):
            if fill.failures < self._limits.failures_max:
                self._counts.takeovers += 1
                self._promote(fill, next(iter(fill.waiting)))
            else:
                self._miss_waiting(fill)
        if not fill.attempts:
            self._forget(fill)

    def _forget(self, fill: KeyFill, *, is_released: bool = False) -> None:
        """The key is no longer under way."""
        fill.is_over = True
        self._fills.pop(fill.key, None)
        self._joining.pop(fill, None)
        if fill.has_lease and not is_released and fill.answer is None:
            self._keeper.release(fill.key)

    def _hit(self, caller: Caller, answer: Found) -> None:
        self._counts.lookups["hit"] += 1
        caller.stream.hit(caller, answer)

    def _hit_waiting(self, fill: KeyFill, answer: Found) -> None:
        waiting, fill.waiting = fill.waiting, {}
        for caller in waiting:
            self._roles.pop(caller, None)
            self._hit(caller, answer)

    def _miss_waiting(self, fill: KeyFill) -> None:
        waiting, fill.waiting = fill.waiting, {}
        for caller in waiting:
            self._roles.pop(caller, None)
            self._counts.lookups["miss"] += 1
            caller.stream.miss(caller)

    def _over(self, caller: Caller) -> None:
        self._roles.pop(caller, None)
        caller.over()

    def _tell_fillers(self, fill: KeyFill) -> None:
        """Tell each filler whose audience came or went."""
        for attempt in fill.attempts:
            is_watched = bool(attempt.followers) or (bool(fill.waiting) and self._is_joinable(attempt))
            if is_watched != attempt.is_told:
                attempt.is_told = is_watched
                attempt.filler.stream.reply(Watched(attempt.filler.call, is_watched))

    def _joinable(self, fill: KeyFill) -> Attempt | None:
        """The attempt to wait for: one that speaks before one that does not, and none that is silent."""
        now_s = self._monotonic_s()
        heard = [
            attempt
            for attempt in fill.attempts
            if self._is_joinable(attempt) and now_s - attempt.heard_at_s < self._limits.silent_s
        ]
        return next((attempt for attempt in heard if attempt.is_speaking), heard[0] if heard else None)

    def _is_joinable(self, attempt: Attempt) -> bool:
        return attempt.is_joinable(self._limits.replay_bytes_max)

    def _is_silent(self, fill: KeyFill, now_s: float) -> bool:
        """There are answers that could still be joined, and none of them has grown for too long."""
        joinable = [attempt for attempt in fill.attempts if self._is_joinable(attempt)]
        return bool(joinable) and all(now_s - attempt.heard_at_s >= self._limits.silent_s for attempt in joinable)


def _beside_the_silent(fill: KeyFill) -> Caller:
    """One that waits, at another edge than the silent ones if there is one: it may be the edge that is silent."""
    silent = {attempt.filler.stream for attempt in fill.attempts}
    return next((caller for caller in fill.waiting if caller.stream not in silent), next(iter(fill.waiting)))
