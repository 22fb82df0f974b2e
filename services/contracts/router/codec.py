"""
Router codec: the items of Watch and Report as the bytes of `narrows.router.v1`, and back.

Acks, updates and stored keys travel one a message; outcomes and health share theirs with others. Nothing is judged
here. Hazard: `size_bytes` decides where a message is cut, so it must never guess below the real size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from narrows.router.v1 import router_pb2 as pb
from services.contracts.router.values import (
    Ack,
    Outcome,
    Refusal,
    ReportItem,
    Running,
    SnapshotUpdate,
    StoredKey,
    StoredKeys,
    Target,
    TargetHealth,
    WatchItem,
)
from services.kit.rpc.link import Wire

_ITEM_BYTES = 64
"""Field tags, lengths and numbers of one item."""
_ENTRY_BYTES = 24
"""The same for one element of a repeated field."""
_CHARACTER_BYTES = 4
"""The most that UTF-8 needs."""


def encode_acks(acks: Sequence[Ack], probe: int) -> bytes:
    """One `Ack` message; without an ack it carries the probe only."""
    message = pb.Ack(probe=probe)
    for ack in acks[:1]:
        message.edge, message.version = ack.edge, ack.version
        message.is_accepted, message.reason = ack.is_accepted, ack.reason
    return message.SerializeToString()


def decode_acks(message: bytes) -> tuple[Sequence[Ack], int]:
    """The ack of a message, if any, and its probe."""
    ack = pb.Ack.FromString(message)
    if not ack.edge:
        return (), ack.probe
    return (Ack(ack.edge, ack.version, ack.is_accepted, ack.reason),), ack.probe


def encode_watch(items: Sequence[WatchItem], probe: int) -> bytes:
    """One `Snapshot` message; without an item it carries the probe only."""
    message = pb.Snapshot(probe=probe)
    for item in items[:1]:
        message.version, message.has_more = item.version, item.has_more
        if isinstance(item, StoredKeys):
            _put_keys(message, item)
        else:
            _put_update(message, item)
    return message.SerializeToString()


def decode_watch(message: bytes) -> tuple[Sequence[WatchItem], int]:
    """The update or the stored keys of a message, if any, and its probe."""
    snapshot = pb.Snapshot.FromString(message)
    if not snapshot.version:
        return (), snapshot.probe
    if snapshot.HasField("stored_keys"):
        return (_keys_of(snapshot),), snapshot.probe
    return (_update_of(snapshot),), snapshot.probe


def encode_report(items: Sequence[ReportItem], probe: int) -> bytes:
    """One `Outcomes` message. What the edge runs is said once for all, as it was last."""
    message = pb.Outcomes(probe=probe)
    for item in items:
        if isinstance(item, Running):
            message.edge, message.running_version = item.edge, item.version
        else:
            message.outcomes.append(_outcome_message(item))
    return message.SerializeToString()


def decode_report(message: bytes) -> tuple[Sequence[ReportItem], int]:
    """What the edge runs, then its outcomes, and the probe."""
    report = pb.Outcomes.FromString(message)
    items: list[ReportItem] = [Running(report.edge, report.running_version)] if report.edge else []
    items.extend(_outcomes_of(report))
    return items, report.probe


def encode_health(items: Sequence[TargetHealth], probe: int) -> bytes:
    """One `Health` message."""
    message = pb.Health(probe=probe)
    for health in items:
        target = health.target
        message.targets.add(
            account=target.account,
            gateway=target.gateway,
            provider=target.provider,
            base_url=target.base_url,
            ejected_for_ms=health.ejected_for_ms,
        )
    return message.SerializeToString()


def decode_health(message: bytes) -> tuple[Sequence[TargetHealth], int]:
    """The targets of a message and its probe."""
    health = pb.Health.FromString(message)
    return [
        TargetHealth(Target(item.account, item.gateway, item.provider, item.base_url), item.ejected_for_ms)
        for item in health.targets
    ], health.probe


def _put_keys(message: pb.Snapshot, keys: StoredKeys) -> None:
    message.are_keys_withheld = keys.are_withheld
    message.stored_keys.version = keys.version
    for key in keys.keys:
        message.stored_keys.keys.add(
            account=key.account, gateway=key.gateway, provider=key.provider, alias=key.alias, key=key.key
        )


def _keys_of(message: pb.Snapshot) -> StoredKeys:
    keys = tuple(
        StoredKey(key.account, key.gateway, key.provider, key.alias, key.key) for key in message.stored_keys.keys
    )
    return StoredKeys(message.version, keys, message.are_keys_withheld, message.has_more)


def _put_update(message: pb.Snapshot, update: SnapshotUpdate) -> None:
    message.is_whole = update.is_whole
    message.revisions.update(update.revisions)
    message.catalogue = update.catalogue
    for (account, gateway), content in update.changed.items():
        message.changed.add(account=account, gateway=gateway, content=content)
    for account, gateway in update.removed:
        message.removed.add(account=account, gateway=gateway)
    for refusal in update.refusals:
        message.refusals.add(resource=refusal.resource, reason=refusal.reason)


def _update_of(message: pb.Snapshot) -> SnapshotUpdate:
    return SnapshotUpdate(
        version=message.version,
        is_whole=message.is_whole,
        revisions=dict(message.revisions),
        catalogue=message.catalogue,
        changed={(part.account, part.gateway): part.content for part in message.changed},
        removed=tuple((part.account, part.gateway) for part in message.removed),
        refusals=tuple(Refusal(refusal.resource, refusal.reason) for refusal in message.refusals),
        has_more=message.has_more,
    )


def _outcome_message(outcome: Outcome) -> pb.Outcome:
    target = outcome.target
    return pb.Outcome(
        account=target.account,
        gateway=target.gateway,
        provider=target.provider,
        base_url=target.base_url,
        kind=pb.OUTCOME_KIND_SUCCESS if outcome.is_success else pb.OUTCOME_KIND_FAILURE,
        count=outcome.count,
        traceparent=outcome.traceparent,
    )


def _outcomes_of(message: pb.Outcomes) -> Iterator[Outcome]:
    """Kinds that this version does not know are left out."""
    for outcome in message.outcomes:
        if outcome.kind in (pb.OUTCOME_KIND_SUCCESS, pb.OUTCOME_KIND_FAILURE):
            yield Outcome(
                Target(outcome.account, outcome.gateway, outcome.provider, outcome.base_url),
                outcome.kind == pb.OUTCOME_KIND_SUCCESS,
                outcome.count,
                outcome.traceparent,
            )


def _ack_bytes(ack: Ack) -> int:
    return _ITEM_BYTES + _text_bytes(ack.edge, ack.version, ack.reason)


def _watch_bytes(item: WatchItem) -> int:
    if isinstance(item, StoredKeys):
        keys = (
            _ENTRY_BYTES + _text_bytes(key.account, key.gateway, key.provider, key.alias, key.key) for key in item.keys
        )
        return _ITEM_BYTES + _text_bytes(item.version) + sum(keys)
    changed = sum(_ENTRY_BYTES + _text_bytes(*name) + len(content) for name, content in item.changed.items())
    removed = sum(_ENTRY_BYTES + _text_bytes(*name) for name in item.removed)
    refusals = sum(_ENTRY_BYTES + _text_bytes(refusal.resource, refusal.reason) for refusal in item.refusals)
    revisions = sum(_ENTRY_BYTES + _text_bytes(source) for source in item.revisions)
    return _ITEM_BYTES + len(item.catalogue) + changed + removed + refusals + revisions


def _report_bytes(item: ReportItem) -> int:
    if isinstance(item, Running):
        return _ITEM_BYTES + _text_bytes(item.edge, item.version)
    return _ITEM_BYTES + _target_bytes(item.target) + len(item.traceparent)


def _health_bytes(health: TargetHealth) -> int:
    return _ITEM_BYTES + _target_bytes(health.target)


def _target_bytes(target: Target) -> int:
    return _text_bytes(target.account, target.gateway, target.provider, target.base_url)


def _text_bytes(*texts: str) -> int:
    return _CHARACTER_BYTES * sum(len(text) for text in texts)


ACKS: Wire[Ack] = Wire(encode_acks, decode_acks, _ack_bytes, items_max=1)
SNAPSHOTS: Wire[WatchItem] = Wire(encode_watch, decode_watch, _watch_bytes, items_max=1)
OUTCOMES: Wire[ReportItem] = Wire(encode_report, decode_report, _report_bytes)
HEALTH: Wire[TargetHealth] = Wire(encode_health, decode_health, _health_bytes)
