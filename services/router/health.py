"""
Health: which targets are out of order, from the outcomes of all edges.

A target is ejected after 5 failures in a row, or when half of at least 10 attempts within 10 s failed; for 5 s, then
twice as long each time it happens again soon, at most 60 s. What ejection means is the edge's matter: an ejected target
goes to the end of a plan, and the last one is never left out. A target that nobody has asked for 10 minutes is
forgotten, and one edge's bad luck is outvoted by the others, because the counts of all are one count here.

Only time and counts: no loop, no network. What an attempt counts as is decided by the edge.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from services.contracts.router.values import Outcome, Target, TargetHealth
from services.kit.clock import Clock

FAILURES_IN_A_ROW = 5
ATTEMPTS_MIN = 10
FAILURE_SHARE = 0.5
WINDOW_S = 10
EJECTION_S = 5.0
EJECTION_S_MAX = 60.0
FORGIVEN_AFTER_S = 60.0
"""After the end of an ejection: the next one begins at the shortest again."""
FORGOTTEN_AFTER_S = 600.0
TARGETS_MAX = 10_000


@dataclass(slots=True)
class _Second:
    at: int
    successes: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Record:
    """What is remembered of one target. Times are of the monotonic clock."""

    heard_at_s: float
    failures_in_a_row: int = 0
    seconds: deque[_Second] = field(default_factory=lambda: deque(maxlen=WINDOW_S))
    ejections: int = 0
    ejected_until_s: float = 0.0
    is_ejected: bool = False

    def count(self, outcome: Outcome, now_s: float) -> None:
        if not self.seconds or self.seconds[-1].at != int(now_s):
            self.seconds.append(_Second(int(now_s)))
        if outcome.is_success:
            self.seconds[-1].successes += outcome.count
            self.failures_in_a_row = 0
        else:
            self.seconds[-1].failures += outcome.count
            self.failures_in_a_row += outcome.count

    def is_failing(self, now_s: float) -> bool:
        if self.failures_in_a_row >= FAILURES_IN_A_ROW:
            return True
        recent = [second for second in self.seconds if second.at > int(now_s) - WINDOW_S]
        failures = sum(second.failures for second in recent)
        attempts = failures + sum(second.successes for second in recent)
        return attempts >= ATTEMPTS_MIN and failures >= attempts * FAILURE_SHARE

    def eject(self, now_s: float) -> float:
        """Out of order from now on; for how many seconds."""
        if now_s - self.ejected_until_s > FORGIVEN_AFTER_S:
            self.ejections = 0
        ejected_for_s = min(EJECTION_S_MAX, EJECTION_S * float(1 << min(self.ejections, 8)))
        self.ejections += 1
        self.ejected_until_s = now_s + ejected_for_s
        self.is_ejected = True
        self.failures_in_a_row = 0
        self.seconds.clear()
        return ejected_for_s


class HealthBook:
    """The health of all targets, as far as they were heard of in the last 10 minutes."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[Target, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def note(self, outcome: Outcome) -> TargetHealth | None:
        """Count an outcome; what changed, if that ejects its target. While ejected, outcomes prove nothing new."""
        now_s = self._clock.monotonic_s()
        record = self._record(outcome.target, now_s)
        if record.is_ejected and now_s < record.ejected_until_s:
            return None
        record.count(outcome, now_s)
        if outcome.is_success or not record.is_failing(now_s):
            return None
        return _health(outcome.target, record.eject(now_s))

    def tick(self) -> list[TargetHealth]:
        """Forget what nobody asks for any more; the targets whose ejection has ended since the last tick."""
        now_s = self._clock.monotonic_s()
        while self._records and now_s - next(iter(self._records.values())).heard_at_s >= FORGOTTEN_AFTER_S:
            self._records.popitem(last=False)
        recovered = []
        for target, record in self._records.items():
            if record.is_ejected and now_s >= record.ejected_until_s:
                record.is_ejected = False
                recovered.append(_health(target, 0))
        return recovered

    def ejected(self) -> list[TargetHealth]:
        """Every target that is ejected now, with the time that is left."""
        now_s = self._clock.monotonic_s()
        return [
            _health(target, record.ejected_until_s - now_s)
            for target, record in self._records.items()
            if record.is_ejected and record.ejected_until_s > now_s
        ]

    def _record(self, target: Target, now_s: float) -> _Record:
        record = self._records.get(target)
        if record is None:
            if len(self._records) >= TARGETS_MAX:
                self._records.popitem(last=False)
            record = self._records[target] = _Record(now_s)
        record.heard_at_s = now_s
        self._records.move_to_end(target)
        return record


def _health(target: Target, ejected_for_s: float) -> TargetHealth:
    return TargetHealth(target, max(0, round(ejected_for_s * 1000)))
