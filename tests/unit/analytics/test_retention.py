"""Retention: what is past its time is gone soon after analytics starts, rows and bodies, and nothing else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.analytics.module import Analytics, open_analytics
from services.analytics.store.retention import partition_ends_s
from services.contracts.analytics.values import LogQuery
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from tests.rows import DAY_MS, event_batch, log_body, log_row

DAY_S = 86_400
MIDNIGHT_S = 1_790_035_200
"""2026-09-22, UTC."""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Analytics]:
    clock = SystemClock()
    async with open_analytics(
        folder=folder, clock=clock, tracer=NoTracer(), metrics=Metrics(), dependencies=Dependencies(clock=clock)
    ) as analytics:
        yield analytics


async def ids(analytics: Analytics) -> list[object]:
    return [log["id"] for log in (await analytics.store.query(LogQuery("local", "main"))).logs]


async def test_what_is_past_its_time_is_gone_after_a_start(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    old = log_row(1, created_at_ms=now_ms - 5 * DAY_MS, retention_days=3)
    kept = log_row(2, created_at_ms=now_ms - 5 * DAY_MS, retention_days=30)
    async with opened(tmp_path) as analytics:
        await analytics.store.insert(event_batch([old, kept], [log_body(old), log_body(kept)]))

    async with opened(tmp_path) as analytics, asyncio.timeout(10):
        while len(await ids(analytics)) > 1:
            await asyncio.sleep(0.02)

        assert await ids(analytics) == [kept.id]
        assert await analytics.store.body("local", "main", old.id) is None
        assert await analytics.store.body("local", "main", kept.id) is not None


@pytest.mark.parametrize(
    ("table", "partition", "ends_s"),
    [
        ("logs", "(20260921,1)", MIDNIGHT_S + DAY_S),
        ("bodies", "(20260921,30)", MIDNIGHT_S + 30 * DAY_S),
        ("hourly", "202608", MIDNIGHT_S - 21 * DAY_S + 400 * DAY_S),
        ("migrations", "tuple()", None),
        ("somebody_elses", "(20260921,1)", None),
    ],
)
def test_a_partition_ends_when_its_last_row_does(table: str, partition: str, ends_s: float | None) -> None:
    assert partition_ends_s(table, partition) == ends_s
