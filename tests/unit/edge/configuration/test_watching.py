from __future__ import annotations

import msgspec
import pytest

from services.contracts.router.snapshot import parts_of
from services.contracts.router.values import Ack, Refusal, StoredKey, StoredKeys
from services.edge.configuration.live import Live, updated
from services.edge.configuration.watching import Watching
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics
from tests.unit.edge.configuration.streams import HandLink, HandLinks, change, gateway, release, whole

KEY = StoredKey("local", "main", "openai", "default", "sk-canary")
KEY_ID = ("local", "main", "openai", "default")


class Edge:
    """Watching with one link, and what it told."""

    def __init__(self, *, held: Live | None = None, links: HandLinks[Ack] | None = None) -> None:
        self.links = links or HandLinks[Ack]()
        self.metrics = Metrics()
        self.went_live: list[Live] = []
        self.watching = Watching(
            edge="edge-1", links=self.links, held=held, changed=self.went_live.append, metrics=self.metrics
        )
        self.watching.opened(self.links.first)

    def hear(self, *items: object) -> list[Ack]:
        """What the edge answers to these items."""
        self.links.first.take()
        self.watching.received(self.links.first, items)  # type: ignore[arg-type]  # each is a WatchItem
        return self.links.first.take()

    @property
    def live(self) -> Live:
        assert self.watching.live is not None
        return self.watching.live


def from_disk(revision: int = 1) -> Live:
    return updated(None, whole(gateway("main", ttl_s=1), revision=revision), StoredKeys("", (KEY,)))


def test_an_edge_with_nothing_says_so_first() -> None:
    assert Edge().links.first.sent == [Ack("edge-1", "", is_accepted=True)]


def test_an_edge_with_a_copy_names_its_version_but_does_not_use_it_yet() -> None:
    held = from_disk()
    edge = Edge(held=held)

    assert edge.links.first.sent == [Ack("edge-1", held.version, is_accepted=True)]
    assert edge.watching.live is None


def test_an_update_is_live_before_it_is_acknowledged() -> None:
    edge = Edge()
    update = whole(gateway("main", ttl_s=300))

    assert edge.hear(update) == [Ack("edge-1", update.version, is_accepted=True)]
    assert edge.live.snapshot.gateways["local", "main"].cache.ttl_s == 300
    assert edge.went_live == [edge.live]
    assert edge.metrics.counter(MetricName.SNAPSHOTS).value(("accepted",)) == 1


def test_a_difference_is_applied_to_what_is_live() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main"), gateway("gone")))

    edge.hear(change(edge.live.content, gateway("main"), gateway("new")))

    assert set(edge.live.snapshot.gateways) == {("local", "main"), ("local", "new")}


def test_a_difference_is_applied_to_the_copy_that_was_named() -> None:
    held = from_disk()
    edge = Edge(held=held)

    edge.hear(change(held.content, gateway("main", ttl_s=2)))

    assert edge.live.snapshot.gateways["local", "main"].cache.ttl_s == 2
    assert edge.live.keys[KEY_ID] == KEY


def test_an_update_in_parts_is_one_change() -> None:
    edge = Edge()
    update = whole(*(gateway(f"g{number}") for number in range(10)))
    parts = list(parts_of(update, bytes_max=2_000))
    assert len(parts) > 2

    assert edge.hear(*parts[:-1]) == []
    assert edge.watching.live is None
    edge.hear(parts[-1])

    assert len(edge.live.snapshot.gateways) == 10


def test_content_that_does_not_hash_to_its_version_is_rejected_with_the_reason() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))
    before = edge.live

    (ack,) = edge.hear(msgspec.structs.replace(whole(gateway("main", ttl_s=5)), version="0" * 32))

    assert not ack.is_accepted
    assert "hashes to" in ack.reason
    assert edge.live is before
    assert edge.metrics.counter(MetricName.SNAPSHOTS).value(("rejected",)) == 1


def test_an_older_configuration_is_rejected() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main", ttl_s=5), revision=7))

    (ack,) = edge.hear(whole(gateway("main"), revision=6))

    assert not ack.is_accepted
    assert ack.reason == "made from file at 6, older than the 7 that is live"
    assert edge.live.snapshot.gateways["local", "main"].cache.ttl_s == 5


def test_the_same_content_from_a_replica_that_read_it_earlier_is_no_step_back() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main"), revision=7))

    (ack,) = edge.hear(whole(gateway("main"), revision=6))

    assert ack.is_accepted
    assert edge.live.snapshot.revisions == {"file": 7}


def test_what_is_refused_is_known_though_the_version_stays() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))
    refusals = (Refusal("Gateway local/bad", "spec.dlp: not built yet"),)

    edge.hear(msgspec.structs.replace(change(edge.live.content, gateway("main")), refusals=refusals))

    assert edge.live.snapshot.refusals == refusals


def test_a_copy_goes_live_when_no_router_answers() -> None:
    held = from_disk()
    edge = Edge(held=held)

    edge.watching.adopt()

    assert edge.live is held
    assert edge.went_live == [held]


def test_a_copy_does_not_replace_what_a_router_said() -> None:
    edge = Edge(held=from_disk())
    edge.hear(whole(gateway("main", ttl_s=9)))

    edge.watching.adopt()

    assert edge.live.snapshot.gateways["local", "main"].cache.ttl_s == 9


def test_a_copy_goes_live_at_once_when_the_router_is_behind_it() -> None:
    held = from_disk(revision=7)
    edge = Edge(held=held)

    edge.hear(whole(gateway("main"), revision=6))

    assert edge.live is held


def test_stored_keys_take_effect_with_the_snapshot_they_belong_to() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))
    update = change(edge.live.content, gateway("main", ttl_s=5))

    assert edge.hear(StoredKeys(update.version, (KEY,))) == []
    assert edge.live.keys == {}
    edge.hear(update)

    assert edge.live.keys == {KEY_ID: KEY}


def test_stored_keys_of_the_live_version_take_effect_at_once() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))

    edge.hear(StoredKeys(edge.live.version, (KEY,)))

    assert edge.live.keys == {KEY_ID: KEY}


def test_stored_keys_stay_when_only_the_snapshot_changes() -> None:
    edge = Edge()
    edge.hear(StoredKeys(release(gateway("main")).version, (KEY,)), whole(gateway("main")))

    edge.hear(change(edge.live.content, gateway("main", ttl_s=5)))

    assert edge.live.keys == {KEY_ID: KEY}


def test_stored_keys_in_parts_are_one_set() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))
    other = msgspec.structs.replace(KEY, alias="other")

    edge.hear(StoredKeys(edge.live.version, (KEY,), has_more=True))
    assert edge.live.keys == {}
    edge.hear(StoredKeys(edge.live.version, (other,)))

    assert set(edge.live.keys) == {KEY_ID, ("local", "main", "openai", "other")}


def test_withheld_keys_are_gone_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    edge = Edge(held=from_disk())
    withheld = StoredKeys(release(gateway("main")).version, (), are_withheld=True)

    edge.hear(withheld, whole(gateway("main")))
    edge.hear(change(edge.live.content, gateway("main", ttl_s=5)))

    assert edge.live.keys == {}
    assert edge.live.are_keys_withheld
    assert caplog.text.count("withholds stored keys") == 1


def test_one_replica_is_followed_and_the_others_are_not_spoken_to() -> None:
    links = HandLinks[Ack](HandLink("router-0"), HandLink("router-1"))
    edge = Edge(links=links)

    edge.watching.opened(links.links[1])

    assert links.links[1].sent == []


def test_when_the_followed_replica_is_lost_another_is_told_what_the_edge_holds() -> None:
    links = HandLinks[Ack](HandLink("router-0"), HandLink("router-1"))
    edge = Edge(links=links)
    edge.hear(whole(gateway("main")))

    links.first.is_up = False
    edge.watching.lost(links.first, [])

    assert links.links[1].sent == [Ack("edge-1", edge.live.version, is_accepted=True)]


def test_a_replica_that_is_not_followed_any_more_is_not_listened_to() -> None:
    links = HandLinks[Ack](HandLink("router-0"), HandLink("router-1"))
    edge = Edge(links=links)
    links.first.is_up = False
    edge.watching.lost(links.first, [])

    edge.hear(whole(gateway("main")))

    assert edge.watching.live is None


def test_half_an_update_from_a_lost_replica_is_forgotten() -> None:
    links = HandLinks[Ack](HandLink("router-0"), HandLink("router-1"))
    edge = Edge(links=links)
    update = whole(*(gateway(f"g{number}") for number in range(10)))
    first, *rest = parts_of(update, bytes_max=2_000)
    edge.hear(first)
    links.first.is_up = False
    edge.watching.lost(links.first, [])

    edge.watching.received(links.links[1], [update])

    assert len(edge.live.snapshot.gateways) == 10
    assert rest


def test_while_no_replica_is_up_what_is_live_stays() -> None:
    edge = Edge()
    edge.hear(whole(gateway("main")))

    edge.links.first.is_up = False
    edge.watching.lost(edge.links.first, [])

    assert set(edge.live.snapshot.gateways) == {("local", "main")}


def test_no_key_shows_in_what_is_printed() -> None:
    assert "sk-canary" not in repr(from_disk())
