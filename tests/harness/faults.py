"""
Faults: what goes wrong with a process of a deployment while load goes on.

Each is a coroutine that returns when the fault is over. Waiting for processes happens in threads, so that the clients
in the same loop are not kept from asking.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from tests.harness.processes import NarrowsProcess


async def killed(processes: Sequence[NarrowsProcess]) -> None:
    """kill -9, all at the same moment."""
    for process in processes:
        process.signal(signal.SIGKILL)
    for process in processes:
        await asyncio.to_thread(process.wait)


async def killed_and_restarted(processes: Sequence[NarrowsProcess], *, away_s: float) -> None:
    """kill -9, nothing for so long, and then started again until ready."""
    await killed(processes)
    await asyncio.sleep(away_s)
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.wait_until_ready)


async def frozen(processes: Sequence[NarrowsProcess], *, for_s: float) -> None:
    """SIGSTOP, and SIGCONT so much later."""
    for process in processes:
        process.signal(signal.SIGSTOP)
    await asyncio.sleep(for_s)
    for process in processes:
        process.signal(signal.SIGCONT)
