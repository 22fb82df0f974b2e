"""
Snapshots on the wire: canonical bytes, the version that is their hash, and the difference of two.

The router encodes each gateway once; what edges hold, compare and hash are exactly those bytes, so an edge of another
version, with fields more or less, still agrees on the version. Everything here is pure: `apply(held, difference(held,
release))` gives the release's content for any two, or raises SnapshotRefused.

Hazard: a version says nothing about age. `refuse_older` does, by the resource versions it was made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from services.contracts.router.values import (
    Catalogue,
    Gateway,
    GatewayId,
    Refusal,
    Snapshot,
    SnapshotUpdate,
    StoredKey,
    StoredKeys,
)
from services.kit.errors import SnapshotRefused

PART_BYTES_MAX = 1024 * 1024
"""Where an update is cut into messages, unless the catalogue alone is bigger."""

_VERSION_BYTES = 16
_GATEWAY_BYTES = 256
"""What a gateway or a refusal takes in a message beside its content and names."""


class Content(msgspec.Struct, frozen=True):
    """What a version is the hash of."""

    catalogue: bytes
    gateways: dict[GatewayId, bytes]


class Release(msgspec.Struct, frozen=True):
    """One compiled configuration, ready to be sent: what edges get as a `Snapshot`."""

    version: str
    content: Content
    revisions: dict[str, int]
    refusals: tuple[Refusal, ...] = ()


def canonical(value: Catalogue | Gateway) -> bytes:
    """The value's one encoding: JSON with sorted mappings."""
    return msgspec.json.encode(value, order="deterministic")


def content_of(catalogue: bytes, gateways: Mapping[GatewayId, Gateway]) -> Content:
    """The canonical bytes of a configuration; those of the catalogue, which never changes, are made once."""
    return Content(catalogue, {name: canonical(gateways[name]) for name in sorted(gateways)})


def version_of(content: Content) -> str:
    """32 hex digits: the hash of the hashes of the parts, in the order of their names."""
    whole = hashlib.sha256(hashlib.sha256(content.catalogue).digest())
    for account, gateway in sorted(content.gateways):
        part = hashlib.sha256(content.gateways[account, gateway]).digest()
        whole.update(f"\n{account}/{gateway}\n".encode() + part)
    return whole.digest()[:_VERSION_BYTES].hex()


def difference(held: Content | None, release: Release) -> SnapshotUpdate:
    """What turns `held` into the release; the whole if nothing is held."""
    wanted = release.content
    known: dict[GatewayId, bytes] = {} if held is None else held.gateways
    return SnapshotUpdate(
        version=release.version,
        is_whole=held is None,
        revisions=release.revisions,
        catalogue=b"" if held is not None and held.catalogue == wanted.catalogue else wanted.catalogue,
        changed={name: content for name, content in wanted.gateways.items() if known.get(name) != content},
        removed=tuple(sorted(name for name in known if name not in wanted.gateways)),
        refusals=release.refusals,
    )


def apply(held: Content | None, update: SnapshotUpdate) -> Content:
    """The content after the update. Raises SnapshotRefused if it does not hash to the update's version."""
    base = Content(b"", {}) if update.is_whole else held
    if base is None:
        raise SnapshotRefused(f"version {update.version} came as a difference, and there is nothing to apply it to")
    removed = frozenset(update.removed)
    gateways = {name: part for name, part in base.gateways.items() if name not in removed}
    content = Content(update.catalogue or base.catalogue, {**gateways, **update.changed})
    found = version_of(content)
    if found != update.version:
        raise SnapshotRefused(f"the content hashes to {found} and was announced as {update.version}")
    return content


def refuse_older(held: Mapping[str, int], offered: Mapping[str, int]) -> None:
    """Raises SnapshotRefused if any source that both name is older in what is offered."""
    for source, revision in offered.items():
        if revision < held.get(source, revision):
            raise SnapshotRefused(f"made from {source} at {revision}, older than the {held[source]} that is live")


def snapshot_of(update: SnapshotUpdate, content: Content, previous: Snapshot | None = None) -> Snapshot:
    """
    The content decoded. Gateways that `previous` has and the update leaves alone stay the same objects.

    Raises SnapshotRefused if a part is not what its type says.
    """
    kept: Mapping[GatewayId, Gateway] = {} if previous is None or update.is_whole else previous.gateways
    try:
        gateways = {
            name: kept[name] if name in kept and name not in update.changed else msgspec.json.decode(part, type=Gateway)
            for name, part in content.gateways.items()
        }
        if previous is not None and not update.catalogue:
            catalogue = previous.catalogue
        else:
            catalogue = msgspec.json.decode(content.catalogue, type=Catalogue)
    except msgspec.DecodeError as error:
        raise SnapshotRefused(f"version {update.version} does not decode: {error}") from error
    return Snapshot(update.version, update.revisions, catalogue, gateways, update.refusals)


def parts_of(update: SnapshotUpdate, *, bytes_max: int = PART_BYTES_MAX) -> Iterator[SnapshotUpdate]:
    """The update as messages of about that size; all but the last say `has_more`."""
    part = msgspec.structs.replace(update, changed={}, has_more=True)
    size_bytes = len(part.catalogue) + _GATEWAY_BYTES * (len(part.removed) + len(part.refusals))
    for name, content in update.changed.items():
        entry_bytes = len(content) + _GATEWAY_BYTES
        if size_bytes + entry_bytes > bytes_max and (part.changed or part.catalogue):
            yield part
            part = msgspec.structs.replace(part, catalogue=b"", changed={}, removed=(), refusals=())
            size_bytes = 0
        part.changed[name] = content
        size_bytes += entry_bytes
    yield msgspec.structs.replace(part, has_more=False)


def joined(parts: Sequence[SnapshotUpdate]) -> SnapshotUpdate:
    """The update whose parts these are."""
    if len(parts) == 1:
        return parts[0]
    changed: dict[GatewayId, bytes] = {}
    for part in parts:
        changed.update(part.changed)
    return msgspec.structs.replace(parts[0], changed=changed, has_more=False)


def key_parts_of(keys: StoredKeys, *, bytes_max: int = PART_BYTES_MAX) -> Iterator[StoredKeys]:
    """Stored keys as messages of about that size."""
    waiting: list[StoredKey] = []
    size_bytes = 0
    for key in keys.keys:
        entry_bytes = len(key.key) + _GATEWAY_BYTES
        if waiting and size_bytes + entry_bytes > bytes_max:
            yield msgspec.structs.replace(keys, keys=tuple(waiting), has_more=True)
            waiting, size_bytes = [], 0
        waiting.append(key)
        size_bytes += entry_bytes
    yield msgspec.structs.replace(keys, keys=tuple(waiting))
