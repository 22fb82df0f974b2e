"""The run store's contract: events in order, without holes, for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from services.cache.store.memory import MemoryRunStore
from services.cache.store.runs import PAGE_BYTES_MAX, RUN_BYTES_MAX, RUN_TTL_MS, RunAppend, RunPage
from tests.contract.cache_stores import KINDS, Kind, Servers, Stores, open_stores
from tests.fakes.clock import FakeClock

RUN = "local/main/01J0000000000000000000000"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


@pytest.fixture(params=KINDS)
async def stores(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Stores]:
    kind: Kind = request.param
    async with open_stores(kind, servers) as opened:
        yield opened


async def append(stores: Stores, first_index: int, *events: bytes, is_end: bool = False, run: str = RUN) -> bool:
    return (await stores.runs.append([RunAppend(run, first_index, events, is_end)]))[0]


async def test_events_are_read_from_any_number_on(stores: Stores) -> None:
    await append(stores, 0, b"a", b"b")
    await append(stores, 2, b"c")

    assert await stores.runs.read(RUN, 1) == RunPage((b"b", b"c"), is_end=False)


async def test_a_run_that_is_not_there_is_unknown(stores: Stores) -> None:
    assert await stores.runs.read(RUN, 0) is None


async def test_a_reader_that_has_everything_gets_nothing_yet(stores: Stores) -> None:
    await append(stores, 0, b"a")

    assert await stores.runs.read(RUN, 1) == RunPage((), is_end=False)


async def test_the_end_is_said_with_the_last_event(stores: Stores) -> None:
    await append(stores, 0, b"a", b"b", is_end=True)

    assert await stores.runs.read(RUN, 0) == RunPage((b"a", b"b"), is_end=True)


async def test_an_end_may_come_alone(stores: Stores) -> None:
    await append(stores, 0, b"a")
    await append(stores, 1, is_end=True)

    assert await stores.runs.read(RUN, 1) == RunPage((), is_end=True)


async def test_an_append_that_is_repeated_or_overlaps_changes_nothing(stores: Stores) -> None:
    await append(stores, 0, b"a", b"b")
    await append(stores, 0, b"a", b"b")
    await append(stores, 1, b"b", b"c")

    assert await stores.runs.read(RUN, 0) == RunPage((b"a", b"b", b"c"), is_end=False)


async def test_a_run_with_a_hole_is_forgotten(stores: Stores) -> None:
    await append(stores, 0, b"a")

    is_taken = await append(stores, 2, b"c")

    assert not is_taken
    assert await stores.runs.read(RUN, 0) is None


async def test_a_run_that_grows_too_long_is_forgotten(stores: Stores) -> None:
    half = bytes(RUN_BYTES_MAX // 2)
    await append(stores, 0, half)
    await append(stores, 1, half)

    is_taken = await append(stores, 2, b"one more")

    assert not is_taken
    assert await stores.runs.read(RUN, 0) is None


async def test_a_long_run_is_read_page_by_page(stores: Stores) -> None:
    events = [bytes([number]) * (PAGE_BYTES_MAX // 3) for number in range(5)]
    await append(stores, 0, *events, is_end=True)

    first = await stores.runs.read(RUN, 0)
    assert first is not None
    second = await stores.runs.read(RUN, len(first.events))

    assert second is not None
    assert [*first.events, *second.events] == events
    assert (first.is_end, second.is_end) == (False, True)


async def test_an_event_larger_than_a_page_is_a_page(stores: Stores) -> None:
    await append(stores, 0, bytes(PAGE_BYTES_MAX + 1), b"next")

    page = await stores.runs.read(RUN, 0)

    assert page is not None
    assert len(page.events) == 1


async def test_runs_are_apart(stores: Stores) -> None:
    await append(stores, 0, b"mine")
    await append(stores, 0, b"yours", run="local/other/1")

    assert await stores.runs.read(RUN, 0) == RunPage((b"mine",), is_end=False)


async def test_a_run_in_memory_leaves_some_minutes_after_its_last_append() -> None:
    clock = FakeClock()
    store = MemoryRunStore(clock=clock, bytes_max=2**20)
    await store.append([RunAppend(RUN, 0, (b"a",), is_end=True)])

    clock.advance(RUN_TTL_MS / 1000 - 1)
    before = await store.read(RUN, 0)
    clock.advance(1)

    assert before is not None
    assert await store.read(RUN, 0) is None


async def test_memory_is_bounded_and_the_oldest_run_leaves_first() -> None:
    store = MemoryRunStore(clock=FakeClock(), bytes_max=10_000)
    for run in ("a", "b", "c"):
        await store.append([RunAppend(run, 0, (bytes(4_000),), is_end=False)])

    assert [await store.read(run, 0) is not None for run in ("a", "b", "c")] == [False, True, True]
