"""A clock that stands still until a test advances it; the three clocks of kit/clock.py, stepped together or apart."""

from __future__ import annotations


class FakeClock:
    """Starts at a moment with milliseconds, so that a truncated one shows."""

    def __init__(self, *, wall_s: float = 1_790_000_000.123) -> None:
        self._wall_s = wall_s
        self._monotonic_s = 1_000.0
        self._suspended_s = 0.0

    def wall_s(self) -> float:
        return self._wall_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def boottime_s(self) -> float:
        return self._monotonic_s + self._suspended_s

    def advance(self, seconds: float) -> None:
        """Time passes on all three clocks."""
        self._wall_s += seconds
        self._monotonic_s += seconds

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the machine's clock; the others do not notice."""
        self._wall_s += seconds

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: the monotonic clock stands, the others go on."""
        self._wall_s += seconds
        self._suspended_s += seconds
