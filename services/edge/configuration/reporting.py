"""
Reporting: the edge's side of Report. What it tells, and what it hears about targets.

Outcomes of attempts are counted in runs (so many successes at a target, then so many failures) and leave within 100 ms,
to every replica of the router; that keeps their order, which is what "five in a row" is about. The outcome of a sampled
request leaves at once and alone, for the span that it becomes. Ejections end here by the edge's own clock: a
router that dies does not leave a target ejected.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from services.contracts.router.values import Outcome, ReportItem, Running, Target, TargetHealth
from services.kit.clock import Clock
from services.kit.rpc.link import Link, Links

FLUSH_AFTER_S = 0.1
RUNS_MAX = 1_024
EJECTED_TARGETS_MAX = 10_000
UNHEARD_MAX = 256
"""Sampled outcomes that wait for a router."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    target: Target
    is_success: bool
    count: int


class Reporting:
    """Listens to Report. `report` and `is_ejected` are called for every attempt."""

    def __init__(self, *, edge: str, links: Links[ReportItem], clock: Clock) -> None:
        self._edge = edge
        self._links = links
        self._monotonic_s = clock.monotonic_s
        self._version = ""
        self._runs: list[_Run] = []
        self._last_runs: dict[Target, _Run] = {}
        self._unheard: deque[Outcome] = deque(maxlen=UNHEARD_MAX)
        self._flushing: asyncio.TimerHandle | None = None
        self._ejected_until_s: dict[Target, float] = {}

    def report(self, outcome: Outcome) -> None:
        """
        An attempt has ended. Never waits; while no router listens it is forgotten, but for the last sampled ones: their
        traces would have a hole.
        """
        if outcome.traceparent:
            self.flush()
            if not self._send(outcome):
                self._unheard.append(outcome)
            return
        run = self._last_runs.get(outcome.target)
        if run is not None and run.is_success is outcome.is_success:
            run.count += outcome.count
        else:
            self._begin(outcome)

    def is_ejected(self, target: Target) -> bool:
        """The target is to be tried last."""
        if not self._ejected_until_s:
            return False
        until_s = self._ejected_until_s.get(target)
        if until_s is None:
            return False
        if self._monotonic_s() < until_s:
            return True
        del self._ejected_until_s[target]
        return False

    def ejected_count(self) -> int:
        """How many targets are to be tried last."""
        now_s = self._monotonic_s()
        return sum(1 for until_s in self._ejected_until_s.values() if now_s < until_s)

    def runs(self, version: str) -> None:
        """This is what the edge runs now."""
        if version != self._version:
            self._version = version
            self.tell_running()

    def tell_running(self) -> None:
        """Tell every replica what the edge runs."""
        self._send(Running(self._edge, self._version))

    def flush(self) -> None:
        """Send what was counted."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        runs, self._runs = self._runs, []
        self._last_runs = {}
        for run in runs:
            self._send(Outcome(run.target, run.is_success, run.count))

    def opened(self, link: Link[ReportItem]) -> None:
        """Introduce the edge."""
        link.send(Running(self._edge, self._version))
        while self._unheard:
            link.send(self._unheard.popleft())

    def received(self, link: Link[ReportItem], items: Sequence[TargetHealth]) -> None:
        """The health of targets has changed. Replicas come to the same; the last word counts."""
        now_s = self._monotonic_s()
        for health in items:
            if health.ejected_for_ms <= 0:
                self._ejected_until_s.pop(health.target, None)
            elif health.target in self._ejected_until_s or self._has_room(now_s):
                self._ejected_until_s[health.target] = now_s + health.ejected_for_ms / 1000

    def expired(self, link: Link[ReportItem], keys: Sequence[Hashable]) -> None:
        """Nothing here has a deadline."""

    def lost(self, link: Link[ReportItem], keys: Sequence[Hashable]) -> None:
        """What is ejected stays so until its time is over."""

    def _begin(self, outcome: Outcome) -> None:
        run = _Run(outcome.target, outcome.is_success, outcome.count)
        self._runs.append(run)
        self._last_runs[outcome.target] = run
        if len(self._runs) >= RUNS_MAX:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def _send(self, item: ReportItem) -> bool:
        """To every replica; False if none takes it."""
        taken = [link.send(item) for link in self._links.all()]
        return any(taken)

    def _has_room(self, now_s: float) -> bool:
        if len(self._ejected_until_s) < EJECTED_TARGETS_MAX:
            return True
        current = {target: until_s for target, until_s in self._ejected_until_s.items() if until_s > now_s}
        self._ejected_until_s = current
        return len(current) < EJECTED_TARGETS_MAX
