"""A listener that writes down what it is told, and can be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence

from services.kit.rpc.link import Link
from tests.fakes.parrot import Said


class Owner:
    """Listens to a parrot. `events` has everything in order, as (what, payload)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.batches: list[list[Said]] = []
        self.expired_keys: list[Hashable] = []
        self.lost_keys: list[Hashable] = []
        self.greeting: Said | None = None
        self._told = asyncio.Event()

    def opened(self, link: Link[Said]) -> None:
        self._note("opened", link.address)
        if self.greeting is not None:
            link.send(self.greeting)

    def received(self, link: Link[Said], items: Sequence[Said]) -> None:
        self.batches.append(list(items))
        self._note("received", list(items))

    def expired(self, link: Link[Said], keys: Sequence[Hashable]) -> None:
        self.expired_keys.extend(keys)
        self._note("expired", list(keys))

    def lost(self, link: Link[Said], keys: Sequence[Hashable]) -> None:
        self.lost_keys.extend(keys)
        self._note("lost", list(keys))

    @property
    def heard(self) -> list[Said]:
        """Every item, in order."""
        return [item for batch in self.batches for item in batch]

    def count(self, what: str) -> int:
        """How often that was told."""
        return sum(1 for event, _ in self.events if event == what)

    async def until(self, is_so: Callable[[], object], *, within_s: float = 5.0) -> None:
        """Wait until something is so, looking again whenever something is told and every few milliseconds."""
        async with asyncio.timeout(within_s):
            while not is_so():
                self._told.clear()
                try:
                    async with asyncio.timeout(0.005):
                        await self._told.wait()
                except TimeoutError:
                    pass

    def _note(self, what: str, payload: object) -> None:
        self.events.append((what, payload))
        self._told.set()
