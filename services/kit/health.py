"""
Dependencies: which of the things this process leans on are up, and since when.

Whoever talks to a dependency reports what it sees; `/status`, the metrics and the `cf-aig-degraded` header read
it here. The state of a dependency never makes a process unready: data plane and dependency fail apart.
"""

from __future__ import annotations

from typing import Literal

from services.kit.clock import Clock

DependencyState = Literal["up", "down"]


class Dependencies:
    """States by name. A name not reported yet is up: nothing has failed."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, tuple[DependencyState, float]] = {}

    def report(self, name: str, state: DependencyState) -> None:
        """Note a state; `since` moves only when it changes."""
        known = self._states.get(name)
        if known is None or known[0] != state:
            self._states[name] = (state, self._clock.wall_s())

    def is_down(self, name: str) -> bool:
        """The last report said down."""
        known = self._states.get(name)
        return known is not None and known[0] == "down"

    def states(self) -> dict[str, tuple[DependencyState, float]]:
        """Name to state and wall clock seconds since when."""
        return dict(self._states)
