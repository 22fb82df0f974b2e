"""Journal: every row once, in order, over restarts, torn writes, full disks and a full spool."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.edge.spool.batches import BatchWriter
from services.edge.spool.frames import HEADER_BYTES, Records
from services.edge.spool.journal import SEGMENT_BATCHES, Journal, Taken
from tests.fakes.clock import FakeClock
from tests.harness.disks import SmallDisk, small_disk

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


async def test_a_crash_at_any_byte_keeps_all_that_was_written_before_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "whole")
    writes = [[b"a"], [b"b"], None, [b"c", b"d"], None, [b"e"], [b"f"]]
    written: list[tuple[int, int]] = []
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    row_count = 0
    for rows in writes:
        if rows is None:
            writer.end()
        else:
            writer.write(Records(b"".join(row + b"\n" for row in rows)), row_count=len(rows))
            row_count += len(rows)
        written.append((files(tmp_path / "whole")[0].stat().st_size, row_count))
    whole = files(tmp_path / "whole")[0].read_bytes()

    for cut in range(HEADER_BYTES, len(whole) + 1):
        folder = tmp_path / f"{cut}"
        folder.mkdir()
        (folder / "0000000001.spool").write_bytes(whole[:cut])
        again = open_journal(folder, edge="edge-2")
        write_batch(again, b"later")
        taken = await take_all(again)
        survived = max((count for size, count in written if size <= cut), default=0)
        assert [row for _, _, rows in bounds(taken) for row in rows] == [*rows_up_to(survived), b"later"]
        assert sum(each.batch.row_count for each in taken) == survived + 1
        once_more = open_journal(folder, edge="edge-3")
        assert bounds(await take_all(once_more)) == bounds(taken)
        for each in taken:
            again.acknowledge(each)
        again.close()
        assert (files(folder), again.dropped_count, again.unacked_bytes) == ([], 0, 0)


def rows_up_to(count: int) -> list[bytes]:
    return [b"a", b"b", b"c", b"d", b"e", b"f"][:count]


async def test_damage_in_what_is_acknowledged_costs_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for row in (b"a", b"b"):
        write_batch(journal, row)
    first, _ = await take_all(journal)
    journal.acknowledge(first)
    content = bytearray(files(tmp_path)[0].read_bytes())
    content[HEADER_BYTES : HEADER_BYTES + 20] = bytes(20)
    files(tmp_path)[0].write_bytes(content)

    again = open_journal(tmp_path, edge="edge-2")

    assert bounds(await take_all(again)) == [("edge-1", 2, [b"b"])]
    assert again.dropped_count == 0


async def test_a_segment_that_is_shorter_than_what_is_acknowledged_is_over(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write_batch(journal, b"a" * 100)
    journal.acknowledge((await take_all(journal))[0])
    os.truncate(files(tmp_path)[0], HEADER_BYTES + 50)

    again = open_journal(tmp_path, edge="edge-2")

    assert (await take_all(again), again.unacked_bytes) == ([], 0)
    again.close()
    assert files(tmp_path) == []


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


async def test_a_batch_whose_end_could_not_be_written_is_closed_all_the_same(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    writer = BatchWriter(journal=journal, clock=FakeClock(), closed=lambda: None)
    writer.write(Records(b"a\n"), row_count=1)
    with full_disk(files(tmp_path)[0].stat().st_size):
        writer.end()
        while_full = bounds(await take_all(journal))
        writer.write(Records(b"lost\n"), row_count=1)
    writer.write(Records(b"b\n"), row_count=1)
    writer.end()

    assert while_full == [("edge-1", 1, [b"a"])]
    assert bounds(await take_all(journal)) == [("edge-1", 2, [b"b"])]
    assert journal.dropped_count == 1
    again = open_journal(tmp_path, edge="edge-2")
    assert bounds(await take_all(again)) == [("edge-1", 1, [b"a"]), ("edge-1", 2, [b"b"])]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", size_bytes=256 * 1024) as disk:
        yield disk


async def test_a_disk_that_the_spool_itself_has_filled_is_given_back(disk: SmallDisk) -> None:
    journal = open_journal(disk.folder)
    for number in range(100):
        write_batch(journal, b"%03d" % number + b"x" * 5000)
    accepted = 100 - journal.dropped_count
    taken = await take_all(journal)
    for each in taken:
        journal.acknowledge(each)
    write_batch(journal, b"after")

    assert 0 < accepted < 60
    assert [int(each.batch.rows[:3]) for each in taken] == list(range(accepted))
    assert [rows for _, _, rows in bounds(await take_all(journal))] == [[b"after"]]
    assert len(files(disk.folder)) == 1


@pytest.mark.parametrize("room_bytes", [0, 4096, 8192, 12_288])
async def test_what_was_accepted_before_the_disk_was_full_outlives_a_crash(disk: SmallDisk, room_bytes: int) -> None:
    journal = open_journal(disk.folder)
    write_batch(journal, b"before")
    disk.fill(but_bytes=room_bytes)
    for number in range(10):
        write_batch(journal, b"%d" % number + b"x" * 3000)
    accepted = 10 - journal.dropped_count
    disk.give_room()
    write_batch(journal, b"after")

    again = open_journal(disk.folder, edge="edge-2")
    found = [rows[0][:6] for _, _, rows in bounds(await take_all(again))]

    assert found == [b"before", *(b"%dxxxxx" % number for number in range(accepted)), b"after"]
    assert again.dropped_count == 0
    assert 0 <= accepted < 10


async def test_a_folder_that_vanished_is_made_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "spool")
    write_batch(journal, b"a")
    journal.acknowledge((await take_all(journal))[0])
    journal.close()
    (tmp_path / "spool").rmdir()
    write_batch(journal, b"b")

    assert bounds(await take_all(journal)) == [("edge-1", 2, [b"b"])]
    assert journal.dropped_count == 0


async def test_while_too_many_files_are_open_nothing_is_taken_for_lost(tmp_path: Path) -> None:
    write_batch(open_journal(tmp_path), b"a")
    again = open_journal(tmp_path, edge="edge-2")
    with limited(resource.RLIMIT_NOFILE, 0):
        meanwhile = await take_all(again)

    assert meanwhile == []
    assert bounds(await take_all(again)) == [("edge-1", 1, [b"a"])]
    assert again.dropped_count == 0


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


async def test_a_folder_with_a_segments_name_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0000000007.spool").mkdir()
    journal = open_journal(tmp_path)
    write_batch(journal, b"a")

    assert [path.name for path in files(tmp_path)] == ["0000000007.damaged", "0000000008.spool"]


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
    with limited(resource.RLIMIT_FSIZE, size_bytes):
        yield


@contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    """This process gets no more of it than that."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))
