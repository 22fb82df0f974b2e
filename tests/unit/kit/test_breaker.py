"""Breaker: one failure refuses the next calls at once, and only a probe that succeeds lets them through again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.kit.breaker import Breaker, BreakerTiming
from services.kit.clock import SystemClock
from services.kit.errors import DependencyUnavailable
from services.kit.health import Dependencies


class Store:
    """Answers, fails or hangs, as told."""

    def __init__(self) -> None:
        self.is_down = False
        self.is_frozen = False
        self.calls = 0
        self.probes = 0

    async def ask(self) -> str:
        self.calls += 1
        await self._behave()
        return "answer"

    async def probe(self) -> None:
        self.probes += 1
        await self._behave()

    async def _behave(self) -> None:
        if self.is_frozen:
            await asyncio.Event().wait()
        if self.is_down:
            raise ConnectionRefusedError("refused")


class Parts:
    def __init__(self) -> None:
        self.store = Store()
        self.dependencies = Dependencies(clock=SystemClock())
        self.breaker = Breaker(
            name="redis",
            probe=self.store.probe,
            outages=(OSError,),
            dependencies=self.dependencies,
            timing=BreakerTiming(call_s=0.02, probe_s=0.02, pause_s=0.001),
        )

    async def closed_again(self) -> None:
        async with asyncio.timeout(5):
            while self.breaker.is_open:
                await asyncio.sleep(0)


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    made = Parts()
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(made.breaker.run())
        yield made
        probing.cancel()


async def test_a_store_that_answers_is_asked_through_it_and_shown_as_up(parts: Parts) -> None:
    assert await parts.breaker.call(parts.store.ask) == "answer"
    assert [state for state, _ in parts.dependencies.states().values()] == ["up"]


async def test_after_one_failure_calls_are_refused_without_asking(parts: Parts) -> None:
    parts.store.is_down = True
    for _ in range(3):
        with pytest.raises(DependencyUnavailable, match="redis is out of reach: ConnectionRefusedError: refused"):
            await parts.breaker.call(parts.store.ask)

    assert parts.store.calls == 1
    assert parts.dependencies.is_down("redis")


async def test_a_frozen_store_costs_one_call_its_deadline_and_the_next_ones_nothing(parts: Parts) -> None:
    parts.store.is_frozen = True
    with pytest.raises(DependencyUnavailable):
        await parts.breaker.call(parts.store.ask)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(DependencyUnavailable):
            await parts.breaker.call(parts.store.ask)

    assert time.monotonic() - began < 0.02


async def test_it_closes_by_itself_when_a_probe_succeeds(parts: Parts) -> None:
    parts.store.is_down = True
    with pytest.raises(DependencyUnavailable):
        await parts.breaker.call(parts.store.ask)
    parts.store.is_down = False
    await parts.closed_again()

    assert await parts.breaker.call(parts.store.ask) == "answer"
    assert not parts.dependencies.is_down("redis")


async def test_it_stays_open_while_probes_fail(parts: Parts) -> None:
    parts.store.is_frozen = True
    parts.breaker.open("frozen")
    async with asyncio.timeout(5):
        while parts.store.probes < 2:
            await asyncio.sleep(0.001)

    assert parts.breaker.is_open


async def test_an_error_that_is_no_outage_passes_through_and_leaves_it_closed(parts: Parts) -> None:
    async def wrong() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await parts.breaker.call(wrong)

    assert not parts.breaker.is_open
