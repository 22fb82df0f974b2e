"""
Live: one configuration as requests see it, complete and unchangeable.

Snapshot, stored keys and the index of hosts belong together, so they are one object and change by one assignment: a
request sees all of the old or all of the new. The steps from one to the next are functions here; who calls
them when is watching.py's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from services.contracts.router.snapshot import Content, apply, refuse_older, snapshot_of
from services.contracts.router.values import Gateway, Snapshot, SnapshotUpdate, StoredKey, StoredKeys

KeyId = tuple[str, str, str, str]
"""Account, gateway, provider, alias."""


@dataclass(frozen=True, slots=True)
class Live:
    """What requests run on. `keys` is never shown."""

    snapshot: Snapshot
    content: Content
    hosts: Mapping[str, Gateway]
    keys: Mapping[KeyId, StoredKey]
    are_keys_withheld: bool = False

    def __repr__(self) -> str:
        return f"Live(version={self.snapshot.version}, gateways={len(self.snapshot.gateways)})"

    @property
    def version(self) -> str:
        """Of the snapshot."""
        return self.snapshot.version


def updated(base: Live | None, update: SnapshotUpdate, keys: StoredKeys | None) -> Live:
    """
    What is live after the update; `keys` are those that came for it, None: the old ones stay.

    Raises SnapshotRefused: the content is not what its version says, or is older than what is live.
    """
    revisions = update.revisions
    if base is not None:
        if update.version != base.version:
            refuse_older(base.snapshot.revisions, revisions)
        # The same content read earlier elsewhere is no step back; what was seen of its sources stays seen.
        revisions = {**revisions, **_newer(base.snapshot.revisions, revisions)}
    content = apply(None if base is None else base.content, update)
    snapshot = snapshot_of(update, content, None if base is None else base.snapshot)
    snapshot = Snapshot(snapshot.version, revisions, snapshot.catalogue, snapshot.gateways, snapshot.refusals)
    live = Live(snapshot, content, hosts_of(snapshot), {} if base is None else base.keys)
    if keys is not None:
        return with_keys(live, keys)
    return live if base is None else replace(live, are_keys_withheld=base.are_keys_withheld)


def with_keys(live: Live, keys: StoredKeys) -> Live:
    """The same configuration with these keys, and no others."""
    return replace(live, keys=keys_by_id(keys.keys), are_keys_withheld=keys.are_withheld)


def hosts_of(snapshot: Snapshot) -> dict[str, Gateway]:
    """Host names to the gateways that they imply."""
    return {host: gateway for gateway in snapshot.gateways.values() for host in gateway.hosts}


def keys_by_id(keys: Iterable[StoredKey]) -> dict[KeyId, StoredKey]:
    """Stored keys by what a request asks for."""
    return {(key.account, key.gateway, key.provider, key.alias): key for key in keys}


def _newer(held: Mapping[str, int], offered: Mapping[str, int]) -> dict[str, int]:
    return {source: held[source] for source in offered if held.get(source, 0) > offered[source]}
