"""
Breaker: what stands between a caller and a store that may be down, frozen or slow.

Closed: calls go through, each with a deadline. The first one that fails opens it, because every further one
would cost its caller the whole deadline. Open: calls are refused at once, and a probe of its own tries again
in the background; only a probe that succeeds closes it, so no request ever waits to find out. Hazard: a call
that ran into its deadline may still have happened; whoever repeats it must be able to.

`run` is the probe's loop. The module that makes the breaker runs it in its TaskGroup.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import DependencyUnavailable
from services.kit.health import Dependencies, DependencyState

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BreakerTiming:
    """How long a call may take, how long a probe may, and how long to pause between two probes."""

    call_s: float = 0.2
    probe_s: float = 1.0
    """Longer than a call's: a probe may have to find a new master first, and nobody waits for it."""
    pause_s: float = 0.1


class Breaker:
    """One store's breaker. `outages` are the exceptions that mean it could not be reached; others pass through."""

    def __init__(
        self,
        *,
        name: str,
        probe: Callable[[], Awaitable[object]],
        outages: tuple[type[Exception], ...],
        dependencies: Dependencies,
        timing: BreakerTiming | None = None,
    ) -> None:
        self._name = name
        self._probe = probe
        self._outages: tuple[type[Exception], ...] = (*outages, TimeoutError)
        self._dependencies = dependencies
        self._timing = timing or BreakerTiming()
        self._reason = ""
        self._told: DependencyState | None = None
        self._opened = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Calls are refused now."""
        return self._opened.is_set()

    async def call(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the attempt answers, in time. Raises DependencyUnavailable when the store is out of reach."""
        if self._opened.is_set():
            raise self._refusal()
        try:
            async with asyncio.timeout(self._timing.call_s):
                answer = await attempt()
        except self._outages as error:
            self.open(_reason(error))
            raise self._refusal() from error
        if not self._opened.is_set():
            self._tell("up")
        return answer

    def open(self, reason: str) -> None:
        """Refuse calls until a probe succeeds."""
        if not self._opened.is_set():
            _log.warning("%s is out of reach: %s", self._name, reason)
        self._reason = reason
        self._opened.set()
        self._tell("down")

    async def run(self) -> None:
        """Probe while open, for as long as the caller's task lives."""
        while True:
            await self._opened.wait()
            if await self._is_reachable():
                self._opened.clear()
                self._tell("up")
                _log.info("%s is back", self._name)
            else:
                await asyncio.sleep(self._timing.pause_s)

    async def _is_reachable(self) -> bool:
        try:
            async with asyncio.timeout(self._timing.probe_s):
                await self._probe()
        except self._outages as error:
            self._reason = _reason(error)
            return False
        except DependencyUnavailable as error:
            self._reason = error.message
            return False
        return True

    def _tell(self, state: DependencyState) -> None:
        """Only what is new: a call may come for every message."""
        if state != self._told:
            self._told = state
            self._dependencies.report(self._name, state, by=self)

    def _refusal(self) -> DependencyUnavailable:
        return DependencyUnavailable(f"{self._name} is out of reach: {self._reason}", retry_after_s=1.0)


def _reason(error: Exception) -> str:
    """The error's class and first words; an address may stand in it, a password never does."""
    return f"{type(error).__name__}: {error}"[:200].rstrip(": ")
