from __future__ import annotations

import asyncio
import time

from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.process import LOOK_EVERY_S, LoopLag, memory_bytes, watch_process


async def test_a_process_knows_what_it_uses() -> None:
    metrics = Metrics()
    watch_process(metrics, started_at_s=1_790_000_000)

    lines = dict(line.split(" ") for line in metrics.render().decode().splitlines() if not line.startswith("#"))

    assert float(lines["process_resident_memory_bytes"]) > 1e6
    assert float(lines["process_cpu_seconds_total"]) > 0
    assert float(lines["process_open_fds"]) > 2
    assert float(lines["narrows_tasks"]) == 1
    assert float(lines["process_start_time_seconds"]) == 1_790_000_000
    assert memory_bytes() < 4e9


async def test_a_loop_that_is_held_up_shows_by_how_much() -> None:
    async with LoopLag() as lag:
        await asyncio.sleep(0)
        time.sleep(LOOK_EVERY_S + 0.2)  # hold the loop past the moment at which it would have looked
        await asyncio.sleep(0.01)

        assert 0.1 < lag.worst_s < 5
