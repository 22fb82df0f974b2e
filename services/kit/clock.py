"""
Clocks: the only place that asks the machine what time it is.

Three clocks, because they answer different questions: `wall_s` says when something happened and is shown
to people; `monotonic_s` measures durations and deadlines; `boottime_s` also runs while the machine sleeps,
so a lease cannot outlive its store's expiry across a suspend. Time comes into constructors as a `Clock`;
tests pass `tests.fakes.clock.FakeClock`.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Seconds as floats, on three different clocks."""

    def wall_s(self) -> float:
        """Seconds since the Unix epoch; may step."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some past moment; never goes back."""
        ...

    def boottime_s(self) -> float:
        """Like monotonic, and counts while the machine is suspended (CLOCK_BOOTTIME)."""
        ...


class SystemClock:
    """The machine's own clocks; each is the interpreter's own function, for they are asked often."""

    wall_s = staticmethod(time.time)
    monotonic_s = staticmethod(time.monotonic)

    boottime_s = staticmethod(partial(time.clock_gettime, time.CLOCK_BOOTTIME))
