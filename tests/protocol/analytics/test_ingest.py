"""Ingest over gRPC, with a real spool at one end, a real store at the other, and a process that dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec.structs import astuple

from services.analytics.store.chdb import open_chdb
from services.contracts.analytics.client import RemoteLogReader
from services.contracts.analytics.conversation import INGEST
from services.contracts.analytics.values import LogFilter, LogQuery, TailRequest
from services.edge.spool.batches import BatchWriter
from services.edge.spool.journal import Journal
from services.edge.spool.lines import records_of
from services.edge.spool.spool import Spool
from services.kit.clock import SystemClock
from services.kit.errors import QueryInvalid
from services.kit.health import Dependencies
from services.kit.rpc.procedure import RemoteProcedures
from services.kit.rpc.replicas import Caller, replicas
from tests.protocol.analytics.conftest import AnalyticsProcess
from tests.rows import log_body, log_row

ROWS = 2_000
ROWS_A_BATCH = 50


@asynccontextmanager
async def spool_to(process: AnalyticsProcess, folder: Path, *, edge: str = "edge-now") -> AsyncIterator[Spool]:
    clock = SystemClock()
    caller = Caller(clock=clock, random=Random(1).random, dependencies=Dependencies(clock=clock))
    async with (
        replicas(INGEST, target=process.target, caller=caller) as links,
        Spool(
            folder=folder,
            edge=edge,
            links=links,
            bound_bytes=2**28,
            status=lambda: b"{}",
            clock=clock,
        ) as spool,
    ):
        yield spool


def fill(folder: Path) -> None:
    """What an edge wrote while analytics was away: many batches, each with bodies."""
    clock = SystemClock()
    journal = Journal(folder, edge="edge-before", bound_bytes=2**28, clock=clock)
    writer = BatchWriter(journal=journal, clock=clock, closed=lambda: None)
    for number in range(ROWS):
        row = log_row(number, retention_days=3650 + number % 2)
        writer.write(records_of([(astuple(row), astuple(log_body(row)), "")]), row_count=1)
        if number % ROWS_A_BATCH == ROWS_A_BATCH - 1:
            writer.end()
    journal.close()


async def test_kill_9_of_analytics_loses_nothing_and_doubles_nothing(process: AnalyticsProcess, tmp_path: Path) -> None:
    fill(tmp_path / "spool")
    async with spool_to(process, tmp_path / "spool") as spool:
        whole_bytes = spool.status().unsent_bytes
        for part in (0.9, 0.6, 0.3):
            while spool.status().unsent_bytes > part * whole_bytes:
                await asyncio.sleep(0.005)
            await process.kill()
            await process.start()
        is_drained = await spool.drain(30.0)
    await process.kill()

    assert is_drained
    async with open_chdb(tmp_path / "analytics" / "logs") as engine:
        counts = "count(), uniqExact(id), (SELECT count() FROM bodies), (SELECT uniqExact(id) FROM bodies)"
        totals = (
            "(SELECT sum(requests) FROM hourly), (SELECT sum(cost_nanodollars) FROM hourly) = sum(cost_nanodollars)"
        )
        assert await engine.fetch(f"SELECT {counts}, {totals} FROM logs", {}) == [[ROWS, ROWS, ROWS, ROWS, ROWS, 1]]


async def test_two_edges_and_one_of_them_twice_are_told_apart(process: AnalyticsProcess, tmp_path: Path) -> None:
    async with spool_to(process, tmp_path / "one") as one, spool_to(process, tmp_path / "two", edge="other") as two:
        for number in range(0, 20, 2):
            one.append(astuple(log_row(number)), None)
            two.append(astuple(log_row(number + 1)), None)
        await process.kill()
    await process.start()
    async with spool_to(process, tmp_path / "one", edge="again") as again, spool_to(process, tmp_path / "two") as two:
        for number in range(20, 30):
            again.append(astuple(log_row(number)), None)
        are_drained = [await again.drain(30.0), await two.drain(30.0)]
    await process.kill()

    assert are_drained == [True, True]
    async with open_chdb(tmp_path / "analytics" / "logs") as engine:
        assert await engine.fetch("SELECT count(), uniqExact(id) FROM logs", {}) == [[30, 30]]


async def test_logs_can_be_asked_for_and_watched_from_elsewhere(process: AnalyticsProcess, tmp_path: Path) -> None:
    reader = RemoteLogReader(procedures=RemoteProcedures(target=process.target))
    async with (
        spool_to(process, tmp_path / "spool") as spool,
        aclosing(reader.tail(TailRequest("local", "main"))) as tail,
    ):
        watched = asyncio.ensure_future(anext(tail))
        await asyncio.sleep(0.2)
        spool.append(astuple(log_row(1)), None)
        await spool.drain(5.0)
        tailed = msgspec.json.decode((await watched).rows)
        page = await reader.query(
            LogQuery("local", "main", (LogFilter("id", "eq", (log_row(1).id,)),), with_extremes=True)
        )

    assert page.total_count == 1
    assert page.extremes["min_duration"] == log_row(1).duration_ms
    assert page.logs == (tailed,)


async def test_what_is_wrong_with_a_question_crosses_as_it_was_said(process: AnalyticsProcess) -> None:
    reader = RemoteLogReader(procedures=RemoteProcedures(target=process.target))
    with pytest.raises(QueryInvalid, match="order_by: must be one of"):
        await reader.query(LogQuery("local", "main", order_by="colour"))
