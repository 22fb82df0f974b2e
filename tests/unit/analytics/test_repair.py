"""Repair: a batch is never taken for a repeated one that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.analytics.store.chdb import open_chdb
from services.analytics.store.migrate import migrate
from services.analytics.store.repair import PartName, part_name, repair_folder, struck_out
from services.analytics.store.sql_store import SqlLogStore
from tests.rows import event_batch, log_body, log_row


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("20260921-30_7_7_0", PartName("20260921-30", 7, 7)),
        ("20260921-30_1_9_2", PartName("20260921-30", 1, 9)),
        ("all_3_4_1_12", PartName("all", 3, 4)),
        ("tmp_insert_20260921-30_7_7_0", None),
        ("deduplication_logs", None),
    ],
)
def test_a_directory_is_a_part_or_it_is_not(text: str, name: PartName | None) -> None:
    assert part_name(text) == name


def test_only_tokens_of_parts_that_were_never_published_are_struck_out() -> None:
    lines = [
        "1\t20260921-30_1_1_0\tmerged\n",
        "1\t20260921-30_4_4_0\tthere\n",
        "1\t20260921-30_5_5_0\tnever published\n",
        "1\t20260921-7_5_5_0\tof another partition, never published\n",
        "1\t20260801-7_9_9_0\tdropped\n",
        "2\t20260801-7_9_9_0\tdropped\n",
        "something else\n",
    ]
    parts = [PartName("20260921-30", 1, 3), PartName("20260921-30", 4, 4)]

    left = struck_out(lines, parts)

    assert left == [lines[0], lines[1], lines[4], lines[5], lines[6]]


def test_a_line_that_was_torn_while_it_was_written_is_struck_out() -> None:
    whole = "1\t20260921-30_1_1_0\tthere\n"
    parts = [PartName("20260921-30", 1, 1)]

    assert struck_out([whole, "1\t202609"], parts) == [whole]
    assert struck_out([whole, "1\t20260921-30_1_1_0\tth"], parts) == [whole]


async def test_tokens_behind_a_torn_line_are_not_forgotten(tmp_path: Path) -> None:
    first, second = (event_batch([log_row(number)], sequence=number) for number in (1, 2))
    async with open_chdb(tmp_path) as engine:
        await migrate(engine)
        await SqlLogStore(engine=engine).insert(first)
    for path in tmp_path.glob("store/*/*/deduplication_logs/*.txt"):
        with path.open("ab") as log:
            log.write(b"1\t20260921-30_2_2")
    async with open_chdb(tmp_path) as engine:
        await SqlLogStore(engine=engine).insert(second)

    async with open_chdb(tmp_path) as engine:
        await SqlLogStore(engine=engine).insert(second)

        counts = "SELECT count(), (SELECT sum(requests) FROM hourly) FROM logs"
        assert await engine.fetch(counts, {}) == [[2, 2]]


@pytest.mark.parametrize("table", ["logs", "bodies", "hourly"])
async def test_a_batch_that_was_cut_off_before_its_part_was_there_is_taken_again(tmp_path: Path, table: str) -> None:
    rows = [log_row(number) for number in range(10)]
    first = event_batch(rows[:5], [log_body(row) for row in rows[:5]], sequence=1)
    second = event_batch(rows[5:], [log_body(row) for row in rows[5:]], sequence=2)
    async with open_chdb(tmp_path) as engine:
        await migrate(engine)
        store = SqlLogStore(engine=engine)
        await store.insert(first)
        await store.insert(second)
        query = f"SELECT path FROM system.parts WHERE active AND table = '{table}' ORDER BY name DESC LIMIT 1"
        newest = await engine.fetch(query, {})
    shutil.rmtree(newest[0][0])

    async with open_chdb(tmp_path) as engine:
        store = SqlLogStore(engine=engine)
        await store.insert(first)
        await store.insert(second)

        counts = "SELECT count(), uniqExact(id), (SELECT count() FROM bodies), (SELECT sum(requests) FROM hourly)"
        assert await engine.fetch(f"{counts} FROM logs", {}) == [[10, 10, 10, 10]]


async def test_a_folder_that_was_closed_well_is_left_alone(tmp_path: Path) -> None:
    async with open_chdb(tmp_path) as engine:
        await migrate(engine)
        await SqlLogStore(engine=engine).insert(event_batch([log_row()]))

    assert repair_folder(tmp_path) == 0
