from __future__ import annotations

import logging

import msgspec
import pytest

from services.contracts.router.snapshot import Content, Release, version_of
from services.contracts.router.values import Ack, SnapshotUpdate, StoredKey, StoredKeys, WatchItem
from services.kit.rpc.link import Peer
from services.router.watch import Watching, WatchSession

PRIVATE = Peer("edge-1", is_private=True)
PLAIN = Peer("10.0.0.7", is_private=False)
KEY = StoredKey("local", "main", "openai", "default", "sk-canary")


def release(**gateways: str) -> Release:
    content = Content(b"catalogue", {("local", name): text.encode() for name, text in gateways.items()})
    return Release(version_of(content), content, {"file": 1})


class Edge:
    """Acknowledges by hand."""

    def __init__(self, watching: Watching, peer: Peer = PRIVATE) -> None:
        self.items: list[WatchItem] = []
        self.session: WatchSession = watching.open(peer, self.items.append)

    async def ack(self, version: str, *, is_accepted: bool = True) -> None:
        await self.session.receive([Ack("edge-1", version, is_accepted, "" if is_accepted else "it does not fit")])

    async def take(self) -> list[SnapshotUpdate]:
        """The updates since the last time."""
        updates = [item for item in self.items if isinstance(item, SnapshotUpdate)]
        self.items.clear()
        return updates


@pytest.fixture
def watching() -> Watching:
    watching = Watching()
    watching.publish(release(main="1"), ())
    return watching


async def test_nothing_is_said_to_an_edge_that_has_not_introduced_itself(watching: Watching) -> None:
    assert Edge(watching).items == []


async def test_an_edge_with_nothing_gets_the_whole(watching: Watching) -> None:
    edge = Edge(watching)

    await edge.ack("")

    (update,) = await edge.take()
    assert update.is_whole
    assert set(update.changed) == {("local", "main")}


async def test_an_edge_that_has_the_version_gets_only_its_confirmation(watching: Watching) -> None:
    edge = Edge(watching)

    await edge.ack(release(main="1").version)

    (update,) = await edge.take()
    assert (update.is_whole, update.changed, update.catalogue) == (False, {}, b"")


async def test_an_edge_with_a_version_nobody_knows_gets_the_whole(watching: Watching) -> None:
    edge = Edge(watching)

    await edge.ack("a version of last year")

    (update,) = await edge.take()
    assert update.is_whole


async def test_an_edge_that_comes_back_with_an_earlier_version_gets_the_difference(watching: Watching) -> None:
    watching.publish(release(main="1", other="2"), ())
    edge = Edge(watching)

    await edge.ack(release(main="1").version)

    (update,) = await edge.take()
    assert not update.is_whole
    assert set(update.changed) == {("local", "other")}


async def test_a_change_is_one_difference(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack("")
    (whole,) = await edge.take()
    await edge.ack(whole.version)

    watching.publish(release(other="2"), ())

    (update,) = await edge.take()
    assert (set(update.changed), update.removed) == ({("local", "other")}, (("local", "main"),))


async def test_what_changes_while_an_edge_is_busy_leaves_as_one_difference(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack("")
    (whole,) = await edge.take()

    for number in range(5):
        watching.publish(release(main="1", other=str(number)), ())
    assert await edge.take() == []
    await edge.ack(whole.version)

    (update,) = await edge.take()
    assert update.changed == {("local", "other"): b"4"}


async def test_an_edge_that_rejects_a_difference_gets_the_whole(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack(release(main="1").version)
    (confirmation,) = await edge.take()

    await edge.ack(confirmation.version, is_accepted=False)

    (update,) = await edge.take()
    assert update.is_whole


async def test_an_edge_that_rejects_the_whole_waits_for_the_next_release(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    edge = Edge(watching)
    await edge.ack("")
    (whole,) = await edge.take()

    await edge.ack(whole.version, is_accepted=False)
    assert await edge.take() == []
    watching.publish(release(main="2"), ())

    (update,) = await edge.take()
    assert update.is_whole
    assert "rejects version" in caplog.text


async def test_an_edge_hears_of_what_is_refused_though_the_version_stays(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack("")
    (whole,) = await edge.take()
    await edge.ack(whole.version)

    watching.publish(msgspec.structs.replace(release(main="1"), revisions={"file": 2}), ())

    (update,) = await edge.take()
    assert (update.version, update.changed, update.revisions) == (whole.version, {}, {"file": 2})


async def test_stored_keys_go_before_the_snapshot_they_belong_to(watching: Watching) -> None:
    watching.publish(release(main="2"), (KEY,))
    edge = Edge(watching)

    await edge.ack("")

    keys, update = edge.items
    assert keys == StoredKeys(release(main="2").version, (KEY,))
    assert isinstance(update, SnapshotUpdate)


async def test_stored_keys_that_did_not_change_are_not_sent_again(watching: Watching) -> None:
    watching.publish(release(main="2"), (KEY,))
    edge = Edge(watching)
    await edge.ack("")
    await edge.take()

    await edge.ack(release(main="2").version)
    watching.publish(release(main="3"), (KEY,))

    assert [type(item) for item in edge.items] == [SnapshotUpdate]


async def test_a_key_that_changed_alone_is_sent(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack("")
    await edge.take()
    await edge.ack(release(main="1").version)

    watching.publish(release(main="1"), (KEY,))

    assert edge.items[0] == StoredKeys(release(main="1").version, (KEY,))


async def test_stored_keys_are_withheld_from_a_peer_that_is_not_private(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    watching.publish(release(main="2"), (KEY,))
    edge, another = Edge(watching, PLAIN), Edge(watching, PLAIN)

    await edge.ack("")
    await another.ack("")

    assert edge.items[0] == StoredKeys(release(main="2").version, (), are_withheld=True)
    assert caplog.text.count("withheld") == 1
    assert "sk-canary" not in caplog.text


async def test_without_stored_keys_nothing_is_withheld(watching: Watching) -> None:
    edge = Edge(watching, PLAIN)

    await edge.ack("")

    assert edge.items[0] == StoredKeys(release(main="1").version, ())


async def test_an_edge_that_came_before_the_first_release_gets_it_when_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    watching = Watching()
    edge = Edge(watching)
    await edge.ack("")
    assert edge.items == []

    watching.publish(release(main="1"), ())

    (update,) = await edge.take()
    assert update.is_whole


async def test_an_edge_that_left_is_told_nothing(watching: Watching) -> None:
    edge = Edge(watching)
    await edge.ack("")
    await edge.take()

    await edge.session.close()
    watching.publish(release(main="2"), ())

    assert edge.items == []
    assert len(watching) == 0
