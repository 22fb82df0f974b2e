"""Batches: bounds in rows, bytes and time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.edge.spool.batches import BATCH_BYTES, BATCH_ROWS, BatchWriter
from services.edge.spool.frames import Records
from services.edge.spool.journal import Journal
from tests.fakes.clock import FakeClock


class Desk:
    """A writer on a journal, and the batches that came out of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.journal = Journal(folder, edge="edge-1", bound_bytes=2**30, clock=self.clock)
        self.closed_count = 0
        self.writer = BatchWriter(journal=self.journal, clock=self.clock, closed=self._closed)

    def _closed(self) -> None:
        self.closed_count += 1

    async def batches(self) -> list[list[bytes]]:
        found: list[list[bytes]] = []
        while (taken := await self.journal.read_next()) is not None:
            assert taken.batch.row_count == len(taken.batch.rows.split())
            found.append(taken.batch.rows.split())
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_batch_is_closed_at_a_thousand_rows(desk: Desk) -> None:
    for _ in range(BATCH_ROWS + 1):
        desk.writer.write(Records(b"row\n"), row_count=1)
    desk.writer.end()

    assert [len(batch) for batch in await desk.batches()] == [1000, 1]


async def test_a_batch_is_closed_before_it_exceeds_a_mebibyte(desk: Desk) -> None:
    for _ in range(5):
        desk.writer.write(Records(b"x" * (BATCH_BYTES // 4 - 1) + b"\n"), row_count=1)
    desk.writer.end()

    assert [len(batch) for batch in await desk.batches()] == [4, 1]


async def test_a_row_that_is_bigger_than_a_batch_is_a_batch_of_its_own(desk: Desk) -> None:
    for size_bytes in (10, 2 * BATCH_BYTES, 10):
        desk.writer.write(Records(b"x" * size_bytes + b"\n"), row_count=1)
    desk.writer.end()

    assert [len(batch) for batch in await desk.batches()] == [1, 1, 1]


def test_a_batch_is_due_a_second_after_its_first_row(desk: Desk) -> None:
    for _ in range(9):
        desk.writer.write(Records(b"row\n"), row_count=1)
        desk.clock.advance(0.11)

    assert desk.writer.due_in_s == pytest.approx(0.0, abs=0.01)


def test_a_lonely_row_is_due_when_nothing_came_for_a_while(desk: Desk) -> None:
    desk.writer.write(Records(b"row\n"), row_count=1)
    desk.clock.advance(0.15)

    assert desk.writer.due_in_s == pytest.approx(0.05)


def test_single_rows_are_closed_once_a_second(desk: Desk) -> None:
    desk.writer.write(Records(b"row\n"), row_count=1)
    desk.writer.end()
    desk.clock.advance(0.3)
    desk.writer.write(Records(b"row\n"), row_count=1)

    assert desk.writer.due_in_s == pytest.approx(0.7)


def test_whoever_sends_hears_of_each_closed_batch(desk: Desk) -> None:
    desk.writer.end()
    desk.writer.write(Records(b"row\n"), row_count=1)
    desk.writer.end()
    desk.writer.end()

    assert desk.closed_count == 1


async def test_what_one_write_brought_stays_together(desk: Desk) -> None:
    for row_count in (600, 300, 200):
        desk.writer.write(Records(b"row\n" * row_count), row_count=row_count)
    desk.writer.end()

    assert [len(batch) for batch in await desk.batches()] == [900, 200]


@given(sizes=st.lists(st.integers(1, BATCH_BYTES // 2), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_row_is_in_one_batch_in_order(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    desk = Desk(tmp_path_factory.mktemp("journal"))
    rows = [b"%d" % number * size for number, size in enumerate(sizes)]
    for row in rows:
        desk.writer.write(Records(row + b"\n"), row_count=1)
    desk.writer.end()

    batches = await desk.batches()
    assert [row for batch in batches for row in batch] == rows
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_BYTES for batch in batches)
    desk.journal.close()
