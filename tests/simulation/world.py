"""
World: simulated time, and clocks that disagree about it.

Everything that happens is an event with a true moment; one runs after the other, so a seed is a schedule. What
the simulated machines see of time are clocks of their own: a little fast or slow, and stepped. Nothing here
sleeps, and requests that wait get their turns (turns.py) after each event.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from tests.simulation.turns import Turns

EPOCH_S = 1_790_000_000.0


class World:
    """True time and what is still to happen."""

    def __init__(self, seed: int) -> None:
        self.now_s = 0.0
        self.random = random.Random(seed)
        self.turns = Turns()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Have it happen so much later; what is scheduled first happens first."""
        self._count += 1
        heapq.heappush(self._events, (self.now_s + delay_s, self._count, event))

    def run(self, until_s: float) -> None:
        """Let everything happen up to that moment."""
        events, soon = self._events, self.turns.soon
        with self.turns.running():
            while events and events[0][0] <= until_s:
                self.now_s, _, event = heapq.heappop(events)
                event()
                if soon:
                    self.turns.settle()
        self.now_s = until_s


class WorldClock:
    """A machine's three clocks. `rate` 1.05: five percent fast, all of them, as while a clock is slewed."""

    def __init__(self, world: World, *, rate: float = 1.0) -> None:
        self._world = world
        self._rate = rate
        self._wall_offset_s = EPOCH_S

    def wall_s(self) -> float:
        return self._wall_offset_s + self._world.now_s * self._rate

    def monotonic_s(self) -> float:
        return 1_000.0 + self._world.now_s * self._rate

    def boottime_s(self) -> float:
        return self.monotonic_s()

    def step_wall(self, seconds: float) -> None:
        """Somebody sets this machine's clock."""
        self._wall_offset_s += seconds
