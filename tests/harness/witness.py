"""
Witness: what processes say of their dependencies on `/metrics` and `/status`, ten times a second.

Each look is kept with its time, so that a test can ask how soon after a moment both said what is true, and kept to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.harness.metrics import series

LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Saying:
    """Of a process at that health address, about that dependency."""

    health: str
    dependency: str


@dataclass(frozen=True)
class Look:
    """What was said of all dependencies at one moment. `is_down`: of each saying, by metric and by status."""

    at_s: float
    is_down: dict[Saying, tuple[bool, bool]]

    def says(self, *, is_down: bool) -> bool:
        """Everybody says so, in both places."""
        return all(said == (is_down, is_down) for said in self.is_down.values())


class Witness:
    """Looks for as long as `looking` is open."""

    def __init__(self, sayings: Sequence[Saying]) -> None:
        self.looks: list[Look] = []
        self._sayings = sayings

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look(session))
            yield
            looking.cancel()

    def settled_after_s(self, begin_s: float, end_s: float, *, is_down: bool) -> float:
        """From `begin_s` to the first look after which, until `end_s`, everybody always said so; all of it if never."""
        looks = [look for look in self.looks if begin_s <= look.at_s < end_s]
        others = [number for number, look in enumerate(looks) if not look.says(is_down=is_down)]
        first = others[-1] + 1 if others else 0
        return (looks[first].at_s if first < len(looks) else end_s) - begin_s

    def times_down(self, begin_s: float, end_s: float) -> int:
        """Looks in that time that found anything said to be down."""
        looks = [look for look in self.looks if begin_s <= look.at_s < end_s]
        return sum(not look.says(is_down=False) for look in looks)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        while True:
            said = await asyncio.gather(*(_ask(session, health) for health in {each.health for each in self._sayings}))
            by_health = dict(said)
            found = {each: by_health[each.health].get(each.dependency, (False, False)) for each in self._sayings}
            self.looks.append(Look(time.monotonic(), found))
            await asyncio.sleep(LOOK_EVERY_S)


async def _ask(session: aiohttp.ClientSession, health: str) -> tuple[str, dict[str, tuple[bool, bool]]]:
    """What a process says of each dependency it knows: is it down, by metric and by status."""
    async with session.get(f"http://{health}/metrics") as answer:
        up = series(await answer.text(), "narrows_dependency_up")
        metric = {labels["dependency"]: value == 0 for labels, value in up}
    async with session.get(f"http://{health}/status") as answer:
        status = (await answer.json())["dependencies"]
    names = metric.keys() | status.keys()
    return health, {
        name: (metric.get(name, False), status.get(name, {"state": "up"})["state"] == "down") for name in names
    }
