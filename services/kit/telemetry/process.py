"""
Process: what the operating system says about this process, and how late its event loop is.

CPU, memory and files are read when somebody asks. Lateness cannot be: the loop looks at the clock twice a
second and remembers by how much it overslept, the worst of the last ten seconds, so that a scrape does not miss it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections import deque
from pathlib import Path

from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics

LOOK_EVERY_S = 0.5
REMEMBERED = 20
"""Looks; ten seconds."""

_STATM = Path("/proc/self/statm")
_FILES = Path("/proc/self/fd")


def watch_process(metrics: Metrics, *, started_at_s: float) -> None:
    """Let metrics read this process's facts. `started_at_s`: on the wall clock. Called on the loop."""
    loop = asyncio.get_running_loop()
    metrics.gauge(MetricName.TASKS).watch(lambda: len(asyncio.all_tasks(loop)))
    metrics.gauge(MetricName.PROCESS_MEMORY).watch(memory_bytes)
    metrics.gauge(MetricName.PROCESS_FILES_MAX).watch(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    metrics.gauge(MetricName.PROCESS_START).set(started_at_s)
    metrics.counter(MetricName.PROCESS_CPU).watch(time.process_time)
    if _FILES.exists():
        metrics.gauge(MetricName.PROCESS_FILES).watch(lambda: len(os.listdir(_FILES)))


def memory_bytes() -> float:
    """Resident memory now; where the system does not say, the most it ever was."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


class LoopLag:
    """How late the event loop runs what is due."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque([0.0], maxlen=REMEMBERED)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst_s(self) -> float:
        """Of the last ten seconds."""
        return max(self._late_s)

    async def __aenter__(self) -> LoopLag:
        self._look_again(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = loop.time() + LOOK_EVERY_S
        self._timer = loop.call_at(due_s, self._look, loop, due_s)

    def _look(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._late_s.append(max(0.0, loop.time() - due_s))
        self._look_again(loop)
