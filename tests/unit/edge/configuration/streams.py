"""Links by hand: what an edge sends is written down, and what a router would say is made here."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from services.contracts.router.snapshot import Content, Release, canonical, content_of, difference, version_of
from services.contracts.router.values import Cache, Catalogue, Gateway, Provider, Refusal, SnapshotUpdate
from services.kit.rpc.link import Link

Item = TypeVar("Item")

CATALOGUE = Catalogue({"openai": Provider("openai", "openai", (), "authorization")}, {})


class HandLink(Generic[Item]):
    """A link of which the test decides whether it is up."""

    def __init__(self, address: str = "router-0") -> None:
        self.address = address
        self.is_up = True
        self.sent: list[Item] = []

    def send(
        self,
        item: Item,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        if self.is_up:
            self.sent.append(item)
        return self.is_up

    def forget(self, key: Hashable) -> None:
        """No key is ever given."""

    def take(self) -> list[Item]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


class HandLinks(Generic[Item]):
    """Several of them; the first that is up is chosen."""

    def __init__(self, *links: HandLink[Item]) -> None:
        self.links = links or (HandLink[Item](),)

    @property
    def first(self) -> HandLink[Item]:
        return self.links[0]

    def any(self) -> Link[Item] | None:
        return next((link for link in self.links if link.is_up), None)

    def for_key(self, key: bytes) -> Link[Item] | None:
        return self.any()

    def all(self) -> Sequence[Link[Item]]:
        return self.links


def gateway(name: str = "main", *, ttl_s: int = 0, hosts: tuple[str, ...] = ()) -> Gateway:
    """One that differs from others by its ttl."""
    return Gateway("local", name, hosts=hosts, cache=Cache(ttl_s=ttl_s))


def release(*gateways: Gateway, revision: int = 1, refusals: tuple[Refusal, ...] = ()) -> Release:
    """What a router would publish."""
    content = content_of(canonical(CATALOGUE), {(each.account, each.name): each for each in gateways})
    return Release(version_of(content), content, {"file": revision}, refusals)


def whole(*gateways: Gateway, revision: int = 1) -> SnapshotUpdate:
    """The update to an edge that holds nothing."""
    return difference(None, release(*gateways, revision=revision))


def change(held: Content, *gateways: Gateway, revision: int = 2) -> SnapshotUpdate:
    """The update to an edge that holds something."""
    return difference(held, release(*gateways, revision=revision))
