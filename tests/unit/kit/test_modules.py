from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.modules import EXIT_AT_ONCE, EXIT_FAILED, EXIT_OK, Module, Parts, in_order, run


class Story:
    """What happened, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def module(self, name: str, *needs: Module[str], broken: Exception | None = None) -> Module[str]:
        @asynccontextmanager
        async def opened(parts: Parts) -> AsyncIterator[str]:
            self.events.append(f"open {name}({', '.join(parts[needed] for needed in needs)})")
            if broken:
                raise broken
            try:
                yield name
            finally:
                self.events.append(f"close {name}")

        return Module(name, opened, needs)

    def failing(self, name: str, error: Exception) -> Module[str]:
        """Opens well; what it does in the background fails."""

        @asynccontextmanager
        async def opened(_: Parts) -> AsyncIterator[str]:
            async def fail() -> None:
                raise error

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                yield name

        return Module(name, opened)

    def grouped(self, name: str) -> Module[str]:
        """Opens well, and owns background work that goes on."""

        @asynccontextmanager
        async def opened(_: Parts) -> AsyncIterator[str]:
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(asyncio.Event().wait())
                yield name
                work.cancel()

        return Module(name, opened)

    def announce(self, is_ready: bool) -> None:
        self.events.append("ready" if is_ready else "not ready")


async def stopped_by(number: signal.Signals, story: Story, *modules: Module[str]) -> int:
    def told(is_ready: bool) -> None:
        story.announce(is_ready)
        if is_ready:
            os.kill(os.getpid(), number)

    return await run(modules, announce=told)


def test_a_module_comes_after_what_it_needs_once() -> None:
    story = Story()
    store = story.module("store")
    limiter, cache = story.module("limiter", store), story.module("cache", store)
    edge = story.module("edge", cache, limiter)

    assert [module.name for module in in_order([edge, limiter])] == ["store", "cache", "limiter", "edge"]


def test_modules_that_need_each_other_are_refused() -> None:
    modules: list[Module[str]] = []

    def opened(_: Parts) -> AbstractAsyncContextManager[str]:
        raise AssertionError

    first = Module("first", opened)
    second = Module("second", opened, (first,))
    object.__setattr__(first, "needs", (second,))
    modules.append(first)

    with pytest.raises(ValueError, match="first > second > first: modules need each other"):
        in_order(modules)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_everything_in_reverse_after_saying_so(number: signal.Signals) -> None:
    story = Story()
    store = story.module("store")

    status = await stopped_by(number, story, story.module("edge", store))

    assert status == EXIT_OK
    assert story.events == ["open store()", "open edge(store)", "ready", "not ready", "close edge", "close store"]


async def test_a_module_that_cannot_be_opened_is_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    refused = story.module("analytics", broken=SettingsInvalid("NARROWS_DATA_DIR: in use"))

    status = await run([story.module("store"), refused], announce=story.announce)

    assert status == EXIT_FAILED
    assert story.events == ["open store()", "open analytics()", "close store"]
    (record,) = caplog.records
    assert record.getMessage() == "analytics: NARROWS_DATA_DIR: in use"
    assert record.exc_info is None


async def test_a_module_whose_background_work_fails_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    modules = [story.module("store"), story.grouped("router"), story.failing("cache", OSError("disk is gone"))]

    status = await run([*modules, story.module("edge")], announce=story.announce)

    assert status == EXIT_FAILED
    assert story.events[-1] == "close store"
    assert [record.getMessage() for record in caplog.records] == ["cache: disk is gone"]


async def test_what_nobody_foresaw_comes_with_its_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()

    await run([story.grouped("router"), story.failing("cache", KeyError("oops"))], announce=story.announce)

    (record,) = caplog.records
    assert record.getMessage() == "cache: KeyError: 'oops'"
    assert record.exc_info


async def test_a_second_signal_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[int] = []
    caplog.set_level(logging.INFO)

    @asynccontextmanager
    async def slow(_: Parts) -> AsyncIterator[None]:
        yield
        os.kill(os.getpid(), signal.SIGTERM)
        while not ended:
            await asyncio.sleep(0)

    def told(is_ready: bool) -> None:
        if is_ready:
            os.kill(os.getpid(), signal.SIGTERM)

    await run([Module("slow", slow)], announce=told, end_at_once=ended.append)

    assert ended == [EXIT_AT_ONCE]
    assert [record.getMessage() for record in caplog.records] == ["SIGTERM: stopping", "SIGTERM again: ending at once"]


async def test_a_signal_while_opening_opens_no_more() -> None:
    story = Story()

    @asynccontextmanager
    async def interrupted(_: Parts) -> AsyncIterator[str]:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        yield "interrupted"

    status = await run([Module("interrupted", interrupted), story.module("edge")], announce=story.announce)

    assert (status, story.events) == (EXIT_OK, [])
