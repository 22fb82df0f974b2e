"""What a link does with items that nobody waits for, and how it tells a crowd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence

import pytest

from services.kit.clock import Clock, SystemClock
from services.kit.rpc.bounds import CROWD_ITEMS, Bounds
from services.kit.rpc.client_link import ClientLink, Traffic
from services.kit.rpc.link import Link
from tests.fakes.clock import FakeClock
from tests.fakes.parrot import Said, conversation


class Nobody:
    """Listens to nothing, but notes what expires."""

    def __init__(self) -> None:
        self.expired_keys: list[Hashable] = []

    def opened(self, link: Link[Said]) -> None: ...

    def received(self, link: Link[Said], items: Sequence[Said]) -> None: ...

    def expired(self, link: Link[Said], keys: Sequence[Hashable]) -> None:
        self.expired_keys += keys

    def lost(self, link: Link[Said], keys: Sequence[Hashable]) -> None: ...


def standing_link(
    *, leisure_s: float, listener: Nobody | None = None, clock: Clock | None = None
) -> ClientLink[Said, Said]:
    link: ClientLink[Said, Said] = ClientLink(
        conversation(),
        listener or Nobody(),
        address="here",
        clock=clock or FakeClock(),
        bounds=Bounds(leisure_s=leisure_s),
        traffic=Traffic(),
        changed=lambda: None,
    )
    link.stand()
    return link


async def test_an_item_that_nobody_waits_for_makes_no_message_of_its_own_at_once() -> None:
    link = standing_link(leisure_s=60)

    link.send((0, "later", b""), is_urgent=False)
    is_early = link.wake.is_set()
    link.send((0, "now", b""))

    assert not is_early
    assert link.wake.is_set()
    assert [word for _, word, _ in link.take()] == ["later", "now"]
    link.close()


async def test_it_leaves_by_itself_when_no_other_comes() -> None:
    link = standing_link(leisure_s=0.001)

    link.send((0, "later", b""), is_urgent=False)

    async with asyncio.timeout(1):
        await link.wake.wait()
    link.close()


async def test_without_leisure_every_item_leaves_at_once() -> None:
    link = standing_link(leisure_s=0)

    link.send((0, "later", b""), is_urgent=False)

    assert link.wake.is_set()
    link.close()


@pytest.mark.parametrize("count", [1, CROWD_ITEMS - 1, CROWD_ITEMS])
async def test_a_message_is_crowded_by_what_somebody_waits_for(count: int) -> None:
    link = standing_link(leisure_s=60)
    for _ in range(count):
        link.send((0, "now", b""))
    for _ in range(CROWD_ITEMS):
        link.send((0, "later", b""), is_urgent=False)

    link.take()

    assert link.is_crowded == (count >= CROWD_ITEMS)
    link.close()


async def test_a_deadline_does_not_count_when_this_process_was_held_up() -> None:
    nobody = Nobody()
    link = standing_link(leisure_s=0, listener=nobody, clock=SystemClock())
    link.send((1, "question", b""), key=1, deadline_s=0.1)

    time.sleep(0.15)
    await asyncio.sleep(0.02)
    still = list(nobody.expired_keys)
    await asyncio.sleep(0.15)

    assert still == []
    assert nobody.expired_keys == [1]
    link.close()
