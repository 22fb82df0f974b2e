"""Journal: every row once, in order, over restarts, torn writes, full disks and a full spool."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.edge.spool.batches import BatchWriter
from services.edge.spool.frames import Records
from services.edge.spool.journal import SEGMENT_BATCHES, Journal, Taken
from tests.fakes.clock import FakeClock

MIB = 1_048_576


def open_journal(folder: Path, *, edge: str = "edge-1", bound_bytes: int = 64 * MIB) -> Journal:
    return Journal(folder, edge=edge, bound_bytes=bound_bytes, clock=FakeClock())


def write_batch(journal: Journal, *rows: bytes) -> None:
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    for row in rows:
        writer.write(Records(row + b"\n"), row_count=1)
    writer.end()


async def take_all(journal: Journal) -> list[Taken]:
    found: list[Taken] = []
    while (taken := await journal.read_next()) is not None:
        found.append(taken)
    return found


def bounds(taken: list[Taken]) -> list[tuple[str, int, list[bytes]]]:
    return [(each.batch.edge, each.batch.sequence, each.batch.rows.split()) for each in taken]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_batches_are_read_in_the_order_and_bounds_they_were_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a", b"b")
    write_batch(journal, b"c")

    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a", b"b"]), ("edge-1", 2, [b"c"])]


async def test_an_open_batch_is_not_read(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    writer.write(Records(b"a\n"), row_count=1)

    assert await take_all(journal) == []


async def test_after_a_crash_the_open_batch_is_one_batch_under_its_own_id(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a")
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    writer.write(Records(b"b\n"), row_count=1)

    again = open_journal(tmp_path, edge="edge-2")
    write_batch(again, b"c")

    assert bounds(await take_all(again)) == [("edge-1", 1, [b"a"]), ("edge-1", 2, [b"b"]), ("edge-2", 1, [b"c"])]


async def test_a_reader_who_waits_for_a_batch_gets_it_without_the_disk(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a", b"b")
    files(tmp_path)[0].write_bytes(b"")

    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a", b"b"])]


async def test_at_hand_and_on_disk_batches_are_the_same(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a", b"b")
    write_batch(journal, b"c")
    found = await take_all(journal)

    again = open_journal(tmp_path, edge="edge-2")

    assert [each.batch for each in found] == [each.batch for each in await take_all(again)]


async def test_one_batch_at_most_is_at_hand(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a")
    write_batch(journal, b"b")
    files(tmp_path)[0].write_bytes(b"")

    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a"])]
    assert journal.dropped_count == 1


@pytest.mark.parametrize("cut_bytes", [1, 5, 20, 30])
async def test_a_torn_tail_costs_only_the_write_that_tore(tmp_path: Path, cut_bytes: int) -> None:
    journal = open_journal(tmp_path)
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    for row in (b"a", b"b", b"torn" * 10):
        writer.write(Records(row + b"\n"), row_count=1)
    segment = files(tmp_path)[0]
    segment.write_bytes(segment.read_bytes()[:-cut_bytes])

    again = open_journal(tmp_path, edge="edge-2")

    assert bounds(await take_all(again)) == [("edge-1", 1, [b"a", b"b"])]


async def test_what_is_acknowledged_is_deleted_and_the_rest_is_read_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for row in (b"a", b"b", b"c"):
        write_batch(journal, row)
    first, second, _ = await take_all(journal)
    journal.acknowledge(first)
    journal.acknowledge(second)
    journal.close()

    again = open_journal(tmp_path, edge="edge-2")
    left = await take_all(again)
    again.acknowledge(left[0])
    again.close()

    assert bounds(left) == [("edge-1", 3, [b"c"])]
    assert files(tmp_path) == []


async def test_an_acknowledgement_out_of_order_waits_for_those_before_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for row in (b"a", b"b"):
        write_batch(journal, row)
    first, second = await take_all(journal)
    journal.acknowledge(second)

    again = open_journal(tmp_path, edge="edge-2")

    assert [each.batch.sequence for each in await take_all(again)] == [1, 2]
    journal.acknowledge(first)
    assert await take_all(open_journal(tmp_path, edge="edge-3")) == []


async def test_a_full_spool_drops_the_oldest_and_counts_its_rows(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, bound_bytes=32 * 1024)
    for number in range(100):
        write_batch(journal, b"%03d" % number + b"x" * 1000)

    left = [int(each.batch.rows[:3]) for each in await take_all(journal)]

    assert left == list(range(100 - len(left), 100))
    assert journal.dropped_count == 100 - len(left)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 33 * 1024


async def test_a_batch_that_is_being_sent_is_not_counted_as_dropped(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, bound_bytes=32 * 1024)
    write_batch(journal, b"x" * 5000)
    taken = await journal.read_next()
    for _ in range(100):
        write_batch(journal, b"x" * 1000)

    left = await take_all(journal)
    assert taken is not None
    journal.acknowledge(taken)

    assert journal.dropped_count == 100 - len(left)


async def test_segments_hold_few_enough_batches_to_be_told_apart_when_sent_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for _ in range(SEGMENT_BATCHES + 1):
        write_batch(journal, b"a")

    assert len(files(tmp_path)) == 2


async def test_a_full_disk_costs_rows_and_nothing_else(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a")
    with full_disk(files(tmp_path)[0].stat().st_size + 30):
        write_batch(journal, b"lost" * 20)
    write_batch(journal, b"b")

    assert journal.dropped_count == 1
    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a"]), ("edge-1", 2, [b"b"])]


async def test_the_end_of_a_batch_that_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    writer.write(Records(b"a\n"), row_count=1)
    with full_disk(files(tmp_path)[0].stat().st_size):
        writer.end()
        writer.write(Records(b"lost\n"), row_count=1)
    writer.write(Records(b"b\n"), row_count=1)
    writer.end()

    assert journal.dropped_count == 1
    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a"]), ("edge-1", 2, [b"b"])]


async def test_a_folder_that_cannot_be_written_costs_rows_and_nothing_else(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with full_disk(10):
        write_batch(journal, b"lost")
    write_batch(journal, b"a")

    assert journal.dropped_count == 1
    assert bounds(await take_all(journal)) == [("edge-1", 1, [b"a"])]


async def test_a_file_that_is_no_segment_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0000000001.spool").write_bytes(b"no segment")

    assert await take_all(open_journal(tmp_path)) == []
    assert [path.name for path in files(tmp_path)] == ["0000000001.damaged"]


async def test_rows_behind_damage_are_counted_as_dropped(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for row in (b"a", b"damaged", b"c"):
        write_batch(journal, row)
    journal.close()
    segment = files(tmp_path)[0]
    segment.write_bytes(segment.read_bytes().replace(b"damaged", b"dAmaged"))

    again = open_journal(tmp_path, edge="edge-2")

    assert bounds(await take_all(again)) == [("edge-1", 1, [b"a"])]
    assert again.dropped_count == 2


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond that size, as on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
