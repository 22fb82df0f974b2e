"""
What the log store costs: inserting, listing, and the spool's part of a request. `python -m tests.bench.logs [ROWS]`.

Fills embedded ClickHouse in a temporary folder with rows (200,000 unless told), then lists them as the dashboard
does, and prints one line per measure. CPU times are of the whole process, ClickHouse's threads included.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import astuple

from services.analytics.store.chdb import open_chdb
from services.analytics.store.engine import Engine
from services.analytics.store.migrate import migrate
from services.analytics.store.sql_store import SqlLogStore
from services.contracts.analytics.values import LogFilter, LogQuery
from services.edge.spool.lines import records_of
from tests.rows import event_batch, log_body, log_row

ROWS = 200_000
BATCH = 1_000
ROWS_A_WRITE = 20
REPEATS = 25

QUESTIONS: dict[str, LogQuery] = {
    "newest first": LogQuery("local", "main"),
    "page 100": LogQuery("local", "main", page=100),
    "one provider": LogQuery("local", "main", (LogFilter("provider", "eq", ("openai",)),)),
    "metadata": LogQuery("local", "main", (LogFilter("metadata.user", "eq", ("user-7",)),)),
    "search": LogQuery("local", "main", search="gemini"),
    "by cost": LogQuery("local", "main", order_by="cost"),
    "with extremes": LogQuery("local", "main", with_extremes=True),
}


async def main(row_count: int) -> None:
    measure_lines()
    with tempfile.TemporaryDirectory() as folder:
        async with open_chdb(Path(folder)) as engine:
            await migrate(engine)
            store = SqlLogStore(engine=engine)
            await measure_inserts(store, row_count)
            await measure_disk(engine)
            for name, query in QUESTIONS.items():
                tell(f"list, {name}", await times_ms(store, query))
            await measure_one(store, row_count)


def measure_lines() -> None:
    """The spool's encoding of a row, and of a row with bodies of 2 KB, of which some come in one write."""
    written = [log_row(number) for number in range(2_000)]
    rows = [astuple(row) for row in written]
    bodies = [astuple(log_body(row, request="x" * 2_000, response="y" * 2_000)) for row in written]
    for name, kept in (("a row", [None] * len(rows)), ("a row and its bodies", bodies)):
        begin_s = time.process_time()
        finished = [(row, body, "") for row, body in zip(rows, kept, strict=True)]
        for first in range(0, len(finished), ROWS_A_WRITE):
            records_of(finished[first : first + ROWS_A_WRITE])
        print(f"encode {name}: {(time.process_time() - begin_s) / len(rows) * 1e6:.1f} us")


async def measure_inserts(store: SqlLogStore, row_count: int) -> None:
    """Batches as the spool makes them when there is much to do."""
    taken_ms: list[float] = []
    cpu_s = 0.0
    for sequence in range(row_count // BATCH):
        batch = event_batch([log_row(sequence * BATCH + number) for number in range(BATCH)], sequence=sequence)
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        await store.insert(batch)
        taken_ms.append((time.perf_counter() - begin_s) * 1e3)
        cpu_s += time.process_time() - begin_cpu_s
    tell(f"insert {BATCH} rows", taken_ms)
    print(f"insert: {cpu_s / row_count * 1e6:.0f} us CPU a row")


async def measure_disk(engine: Engine) -> None:
    """Bytes of a metadata row."""
    rows = await engine.fetch(
        "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'logs'", {}
    )
    print(f"disk: {rows[0][0]:.0f} bytes a row")


async def times_ms(store: SqlLogStore, query: LogQuery) -> list[float]:
    """How long one page takes, again and again."""
    taken: list[float] = []
    for _ in range(REPEATS):
        begin_s = time.perf_counter()
        await store.query(query)
        taken.append((time.perf_counter() - begin_s) * 1e3)
    return taken


async def measure_one(store: SqlLogStore, row_count: int) -> None:
    """One log by its id."""
    taken: list[float] = []
    for number in range(0, row_count, row_count // REPEATS):
        begin_s = time.perf_counter()
        assert await store.log("local", "main", log_row(number).id) is not None
        taken.append((time.perf_counter() - begin_s) * 1e3)
    tell("one log", taken)


def tell(name: str, taken_ms: Sequence[float]) -> None:
    """Half and nearly all of them."""
    half, nearly_all = statistics.median(taken_ms), statistics.quantiles(taken_ms, n=20)[-1]
    print(f"{name}: p50 {half:.0f} ms, p95 {nearly_all:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
