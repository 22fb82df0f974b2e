"""
Account: what a simulation admitted, what it saw on the way, and which promises were broken (none, if the code is
right).

Every admission is written down with its moment on the store's clock and the leases its units came from. At the end no
window may hold more than the limit: fixed ones as the store begins them, sliding ones wherever they begin.

Two things are outside the promise and leave out units, never whole windows. A lease that the store lost with its
data counts in no window that ends after the loss; those before are checked at the loss. Units spent after their
lease's expiry because the store's clock was set forward are what "fits into the step".
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.simulation.scenario import Scenario

LeaseId = tuple[str, int]


@dataclass(slots=True)
class Admission:
    """A request that was let through, and the part of its units that came from one lease."""

    at_us: int
    """On the store's clock."""
    lease: LeaseId
    units: int
    counts: bool = True
    """No longer when the request is not made after all, nor when the units are outside the promise."""


@dataclass(slots=True)
class Account:
    """What came of it. `sights` counts what happened, so that a sweep can tell what its seeds contained."""

    scenario: Scenario
    admissions: list[Admission] = field(default_factory=list)
    refused: int = 0
    unavailable: int = 0
    asked_s: list[float] = field(default_factory=list)
    messages: int = 0
    violations: list[str] = field(default_factory=list)
    sights: Counter[str] = field(default_factory=Counter)
    lost: set[LeaseId] = field(default_factory=set)
    """Leases that the store no longer knows."""

    @property
    def admitted(self) -> int:
        """Units of requests that were made."""
        return sum(admission.units for admission in self.admissions if admission.counts)

    @property
    def share_of_central(self) -> float:
        """Of what one exact limiter would have admitted."""
        central = admitted_by_one(self.scenario, self.asked_s)
        return self.admitted / central if central else 1.0

    def forget(self, lost: set[LeaseId]) -> None:
        """The store has lost these leases: what they admitted counts up to now."""
        self.check_windows()
        self.lost |= lost
        for admission in self.admissions:
            if admission.lease in lost:
                admission.counts = False

    def check_windows(self) -> None:
        """Note every window that holds more than the limit."""
        self.violations += overfull_windows(self.scenario, [one for one in self.admissions if one.counts])


def overfull_windows(scenario: Scenario, admissions: Sequence[Admission]) -> list[str]:
    """Windows in which more was admitted than the limit: any interval, or those that begin at the store's multiples."""
    if scenario.technique == "fixed":
        return _overfull_fixed(scenario, admissions)
    found: list[str] = []
    window: deque[Admission] = deque()
    held = 0
    for admission in sorted(admissions, key=lambda one: one.at_us):
        window.append(admission)
        held += admission.units
        while window[0].at_us <= admission.at_us - scenario.window_s * 1_000_000:
            held -= window.popleft().units
        if held > scenario.limit:
            found.append(f"{held} admitted within a window up to {admission.at_us} us")
    return found


def _overfull_fixed(scenario: Scenario, admissions: Iterable[Admission]) -> list[str]:
    counts: Counter[int] = Counter()
    for admission in admissions:
        counts[admission.at_us // (scenario.window_s * 1_000_000)] += admission.units
    return [f"{count} admitted in window {index}" for index, count in counts.items() if count > scenario.limit]


def admitted_by_one(scenario: Scenario, asked_s: Iterable[float]) -> int:
    """What one exact limiter in the middle of everything would admit, of requests for one unit."""
    window: deque[float] = deque()
    admitted = 0
    for now_s in asked_s:
        begin_s = now_s - scenario.window_s if scenario.technique == "sliding" else now_s - now_s % scenario.window_s
        while window and window[0] < begin_s:
            window.popleft()
        if len(window) < scenario.limit:
            window.append(now_s)
            admitted += 1
    return admitted
