"""Real files and real time: what is tested is how soon a change is seen, and that half a change is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import SettingsInvalid
from services.kit.secret import Secret
from services.router.resources.documents import Reading
from services.router.resources.references import KeyReference
from services.router.secrets import Unreadable
from services.router.sources import BUILT_IN, BuiltInSource, DocumentSet, FileSource, open_source
from tests.fakes.clock import FakeClock
from tests.unit.router.judging import Desk, gateway

LOOK_EVERY_S = 0.02


def source_of(path: Path, environment: dict[str, str] | None = None) -> FileSource:
    return FileSource(path, environment=environment or {}, clock=SystemClock(), look_every_s=LOOK_EVERY_S)


def names(reading: Reading) -> list[str]:
    return [document.name for document in reading.documents]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resources.yaml"
    path.write_text(gateway("first"))
    return path


@asynccontextmanager
async def following(source: FileSource) -> AsyncIterator[asyncio.Task[DocumentSet]]:
    """The source after its first set, waiting for the next."""
    await source.next()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(source.next())
        await asyncio.sleep(3 * LOOK_EVERY_S)
        yield task
        task.cancel()


async def test_the_first_set_comes_at_once(path: Path) -> None:
    _, reading = await source_of(path).next()

    assert names(reading) == ["first"]


async def test_a_file_written_in_place_is_seen(path: Path) -> None:
    async with following(source_of(path)) as change:
        path.write_text(gateway("second"))

        assert names((await change).reading) == ["second"]


async def test_a_file_that_an_editor_renames_into_place_is_seen(path: Path) -> None:
    async with following(source_of(path)) as change:
        new = path.with_suffix(".new")
        new.write_text(gateway("second"))
        new.replace(path)

        assert names((await change).reading) == ["second"]


async def test_a_file_of_the_same_time_and_size_is_seen(path: Path) -> None:
    times = path.stat()
    async with following(source_of(path)) as change:
        path.write_text(gateway("fjrst"))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        assert names((await change).reading) == ["fjrst"]


async def test_the_symlinks_of_a_config_map_are_followed(tmp_path: Path) -> None:
    for version, name in (("v1", "first"), ("v2", "second")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "resources.yaml").write_text(gateway(name))
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "resources.yaml").symlink_to("..data/resources.yaml")
    async with following(source_of(tmp_path / "resources.yaml")) as change:
        (tmp_path / "..data_tmp").symlink_to("v2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

        assert names((await change).reading) == ["second"]


async def test_a_file_that_was_only_touched_is_no_change(path: Path) -> None:
    async with following(source_of(path)) as change:
        path.touch()
        await asyncio.sleep(5 * LOOK_EVERY_S)

        assert not change.done()


async def test_a_file_that_is_still_being_written_is_not_read(path: Path) -> None:
    async with following(source_of(path)) as change:
        with path.open("w") as file:
            for number in range(20):
                file.write(gateway(f"g{number}"))
                file.flush()
                await asyncio.sleep(LOOK_EVERY_S / 2)

        assert len((await change).reading.documents) == 20


async def test_a_file_that_goes_is_told_and_removes_nothing(path: Path) -> None:
    async with following(source_of(path)) as change:
        path.unlink()

        _, reading = await change
        assert not reading.is_whole
        assert [refusal.reason for refusal in reading.refusals] == ["cannot be read: No such file or directory"]


async def test_a_file_that_is_no_text_is_told(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")

    _, reading = await source_of(path).next()

    assert [refusal.reason for refusal in reading.refusals] == ["is not UTF-8 text"]


async def test_a_byte_order_mark_is_no_fault(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + gateway("first").encode())

    _, reading = await source_of(path).next()

    assert names(reading) == ["first"]


async def test_a_secret_file_that_changes_is_a_change(path: Path) -> None:
    secret = path.with_name("key.txt")
    secret.write_text("one\n")
    source = source_of(path)
    await source.next()
    reference = KeyReference(file="key.txt")
    assert source.secrets.read(reference, namespace="local") == Secret("one")
    async with asyncio.TaskGroup() as tasks:
        change = tasks.create_task(source.next())
        await asyncio.sleep(3 * LOOK_EVERY_S)
        assert not change.done()

        secret.write_text("two\n")

        assert names((await change).reading) == ["first"]
    assert source.secrets.read(reference, namespace="local") == Secret("two")


async def test_a_secret_file_that_appears_is_a_change(path: Path) -> None:
    source = source_of(path)
    await source.next()
    reference = KeyReference(file="key.txt")
    assert isinstance(source.secrets.read(reference, namespace="local"), Unreadable)
    async with asyncio.TaskGroup() as tasks:
        change = tasks.create_task(source.next())

        path.with_name("key.txt").write_text("one")

        await change


async def test_revisions_rise_also_when_the_clock_does_not(path: Path) -> None:
    clock = FakeClock()
    source = FileSource(path, environment={}, clock=clock, look_every_s=LOOK_EVERY_S)
    first = await source.next()
    clock.step_wall(-3600)
    path.write_text(gateway("second"))

    second = await source.next()

    assert second.revision > first.revision


async def test_a_restarted_source_has_a_higher_revision(path: Path) -> None:
    clock = FakeClock()
    first = await FileSource(path, environment={}, clock=clock).next()
    os.utime(path, (0, 0))
    clock.advance(1)

    second = await FileSource(path, environment={}, clock=clock).next()

    assert second.revision > first.revision


async def test_the_built_in_gateways_are_main_and_limited() -> None:
    source = BuiltInSource(clock=SystemClock())

    _, reading = await source.next()

    assert reading.refusals == ()
    assert names(reading) == ["main", "limited"]


async def test_the_built_in_limit_is_five_in_a_fixed_minute() -> None:
    (limit,) = Desk().take(BUILT_IN).gateway("limited").limits

    assert (limit.unit, limit.limit, limit.window_s, limit.technique) == ("requests", 5, 60, "fixed")


async def test_the_built_in_gateways_never_change() -> None:
    source = BuiltInSource(clock=SystemClock())
    await source.next()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await source.next()


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("/no/such/file.yaml", "NARROWS_RESOURCES: /no/such/file.yaml is no file that can be read"),
        ("kubernetes", "NARROWS_RESOURCES: kubernetes is not built yet; name a resource file"),
    ],
)
def test_a_source_that_cannot_be_stops_the_start(resources: str, message: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        open_source(resources, environment={}, clock=SystemClock())

    assert caught.value.message == message
