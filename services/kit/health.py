"""
Dependencies: which of the things this process leans on are up, and since when.

Whoever talks to a dependency reports what it sees; `/status`, the metrics and the `cf-aig-degraded` header read
it here. Several may talk to the same one (two conversations with a router, two services of one process with a Redis),
and a service that answers may say that its own store does not: it is down while anybody says so. The state of a
dependency never makes a process unready: data plane and dependency fail apart.
"""

from __future__ import annotations

import math
from typing import Literal

from services.kit.clock import Clock

DependencyState = Literal["up", "down"]

CONTRADICTED_AFTER_S = 1.0
"""A good answer counts this long after the last bad one: of several replicas one may still be without its store."""
FORGOTTEN_AFTER_S = 10.0
"""Where nothing has been answered for so long, nothing is known any more."""


class Dependencies:
    """States by name. A name not reported yet is up: nothing has failed."""

    def __init__(self, *, clock: Clock) -> None:
        self._wall_s = clock.wall_s
        self._monotonic_s = clock.monotonic_s
        self._states: dict[str, tuple[DependencyState, float]] = {}
        self._down_until_s: dict[str, dict[object, float]] = {}
        """By name, who says down and how long that is to be believed."""

    def report(self, name: str, state: DependencyState, *, by: object = "", for_s: float = math.inf) -> None:
        """Note what one of those who talk to it sees, and how long a `down` holds unless it is said again."""
        down_until_s = self._down_until_s.setdefault(name, {})
        if state == "down":
            down_until_s[by] = self._monotonic_s() + for_s
        else:
            down_until_s.pop(by, None)
        self._settle(name)

    def is_down(self, name: str) -> bool:
        """Somebody says so."""
        return name in self._down_until_s and self._settle(name) == "down"

    def states(self) -> dict[str, tuple[DependencyState, float]]:
        """Name to state and wall clock seconds since when."""
        for name in self._down_until_s:
            self._settle(name)
        return dict(self._states)

    def _settle(self, name: str) -> DependencyState:
        """What all together come to. The time moves only when that changes."""
        down_until_s, now_s = self._down_until_s[name], self._monotonic_s()
        for by in [by for by, until_s in down_until_s.items() if now_s >= until_s]:
            del down_until_s[by]
        state: DependencyState = "down" if down_until_s else "up"
        if name not in self._states or self._states[name][0] != state:
            self._states[name] = (state, self._wall_s())
        return state


class StoreBehind:
    """A service's own store, as the service's answers tell it. While it is down, so is the service, for who asks."""

    def __init__(self, *, service: str, dependencies: Dependencies, clock: Clock) -> None:
        self.is_down = False
        self._service = service
        self._dependencies = dependencies
        self._monotonic_s = clock.monotonic_s
        self._told_at_s = 0.0

    def down(self) -> None:
        """An answer says that the store is."""
        self.is_down = True
        self._told_at_s = self._monotonic_s()
        self._dependencies.report(self._service, "down", by=self, for_s=FORGOTTEN_AFTER_S)

    def up(self) -> None:
        """An answer came out of the store. Worth saying only while it `is_down`."""
        if self._monotonic_s() - self._told_at_s >= CONTRADICTED_AFTER_S:
            self.is_down = False
            self._dependencies.report(self._service, "up", by=self)
