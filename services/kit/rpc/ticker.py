"""
Ticker: a call every 10 ms, only while somebody has something to wait for.

It stands for all the timers a stream would otherwise need: one per deadline, one for the breaker, one for its
probes. With nothing outstanding it does not run, so idle streams cost nothing. A call that comes late says by how much:
the loop was held up, and what came meanwhile has not been heard yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.kit.rpc.outstanding import TICK_S


class Ticker:
    """Calls `tick` every `TICK_S` from `start` on, with the seconds it is late by, until it answers False."""

    def __init__(self, tick: Callable[[float], bool]) -> None:
        self._tick = tick
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Run, if not running already."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(TICK_S, self._fire)

    def stop(self) -> None:
        """No tick comes any more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _fire(self) -> None:
        assert self._next is not None
        late_s = asyncio.get_running_loop().time() - self._next.when()
        self._next = None
        self.start()
        if not self._tick(late_s):
            self.stop()
