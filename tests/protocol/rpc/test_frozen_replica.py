"""A replica that is frozen (SIGSTOP) or killed: how soon it is noticed, and how soon it is used again."""

from __future__ import annotations

import time

from services.kit.health import Dependencies
from tests.fakes.owner import Owner
from tests.protocol.rpc.conftest import Dial, ParrotProcess, the_link


async def test_a_frozen_replica_opens_the_breaker_and_only_a_probe_closes_it(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner, dependencies: Dependencies
) -> None:
    links = await dial(parrot_process.address)
    link = the_link(links)
    parrot_process.freeze()
    sent_at_s = time.monotonic()

    link.send((1, "hello", b""), key=1)
    await owner.until(lambda: not link.is_up)
    opened_after_s = time.monotonic() - sent_at_s
    refused = not link.send((2, "hello", b""), key=2)
    was_down = dependencies.is_down("parrot")
    parrot_process.thaw()
    thawed_at_s = time.monotonic()
    await owner.until(lambda: link.is_up)
    closed_after_s = time.monotonic() - thawed_at_s
    link.send((3, "hello", b""), key=3)
    await owner.until(lambda: (3, "hello", b"") in owner.heard)

    assert 0.2 <= opened_after_s <= 0.6
    assert refused
    assert was_down
    assert not dependencies.is_down("parrot")
    assert closed_after_s <= 0.6
    assert owner.lost_keys == [1]
    assert owner.count("opened") == 1
    assert owner.heard == [(1, "hello", b""), (3, "hello", b"")]


async def test_a_breaker_that_opened_closes_through_a_probe_also_on_a_new_connection(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner
) -> None:
    links = await dial(parrot_process.address)
    link = the_link(links)
    parrot_process.freeze()
    link.send((1, "hello", b""), key=1)
    await owner.until(lambda: not link.is_up)

    await parrot_process.kill()
    await parrot_process.start()
    await owner.until(lambda: link.is_up)

    assert [event for event, _ in owner.events] == ["opened", "lost", "opened"]


async def test_a_killed_replica_is_lost_at_once_and_used_again_within_two_seconds(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner, dependencies: Dependencies
) -> None:
    links = await dial(parrot_process.address)
    link = the_link(links)
    link.send((1, "hush", b""), key=1)

    await parrot_process.kill()
    await owner.until(lambda: owner.lost_keys == [1], within_s=1)
    await owner.until(lambda: dependencies.is_down("parrot"), within_s=1)
    await parrot_process.start()
    back_at_s = time.monotonic()
    await owner.until(lambda: link.is_up)

    assert time.monotonic() - back_at_s <= 2.2
    assert links.any() is link


async def test_items_without_answer_are_replayed_to_the_restarted_replica(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner
) -> None:
    links = await dial(parrot_process.address, replays=True)
    link = the_link(links)
    parrot_process.freeze()
    for number in (1, 2, 3):
        link.send((number, "hello", b""), key=number)

    await parrot_process.kill()
    await owner.until(lambda: not link.is_up)
    await parrot_process.start()
    await owner.until(lambda: len(owner.heard) == 3)

    assert [number for number, _, _ in owner.heard] == [1, 2, 3]
    assert owner.lost_keys == []


async def test_a_frozen_replica_is_noticed_by_keepalive_when_nothing_is_outstanding(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner
) -> None:
    links = await dial(parrot_process.address)
    link = the_link(links)
    parrot_process.freeze()
    frozen_at_s = time.monotonic()

    await owner.until(lambda: not link.is_up)

    assert time.monotonic() - frozen_at_s <= 3.6
