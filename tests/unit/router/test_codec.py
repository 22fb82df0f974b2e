from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.router.codec import ACKS, HEALTH, OUTCOMES, SNAPSHOTS
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

TEXT = st.text(max_size=12)
WORD = st.text(alphabet="abcé-", min_size=1, max_size=8)
TARGETS = st.builds(Target, TEXT, TEXT, TEXT, TEXT)
COUNTS = st.integers(min_value=0, max_value=2**32 - 1)
PROBES = st.integers(min_value=0, max_value=2**40)
ACK = st.builds(Ack, WORD, TEXT, st.booleans(), TEXT)
UPDATES = st.builds(
    SnapshotUpdate,
    version=WORD,
    is_whole=st.booleans(),
    revisions=st.dictionaries(WORD, st.integers(min_value=0, max_value=2**60), max_size=3),
    catalogue=st.binary(max_size=20),
    changed=st.dictionaries(st.tuples(TEXT, TEXT), st.binary(max_size=20), max_size=4),
    removed=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    refusals=st.lists(st.builds(Refusal, TEXT, TEXT), max_size=3).map(tuple),
    has_more=st.booleans(),
)
KEYS = st.builds(
    StoredKeys,
    WORD,
    st.lists(st.builds(StoredKey, TEXT, TEXT, TEXT, TEXT, TEXT), max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
)
OUTCOME = st.builds(Outcome, TARGETS, st.booleans(), COUNTS, TEXT)
HEALTHS = st.builds(TargetHealth, TARGETS, st.integers(min_value=0, max_value=2**40))


@given(st.lists(ACK, max_size=1), PROBES)
def test_acks_come_back_as_they_were(acks: list[Ack], probe: int) -> None:
    assert ACKS.decode(ACKS.encode(acks, probe)) == (tuple(acks), probe)


@given(st.lists(UPDATES | KEYS, max_size=1), PROBES)
def test_updates_and_keys_come_back_as_they_were(items: list[WatchItem], probe: int) -> None:
    assert SNAPSHOTS.decode(SNAPSHOTS.encode(items, probe)) == (tuple(items), probe)


@given(st.lists(OUTCOME, max_size=5), st.lists(st.builds(Running, WORD, TEXT), max_size=1), PROBES)
def test_outcomes_and_the_running_version_come_back_as_they_were(
    outcomes: list[Outcome], running: list[Running], probe: int
) -> None:
    items: list[ReportItem] = [*running, *outcomes]

    assert OUTCOMES.decode(OUTCOMES.encode(items, probe)) == (items, probe)


@given(st.lists(HEALTHS, max_size=5), PROBES)
def test_health_comes_back_as_it_was(items: list[TargetHealth], probe: int) -> None:
    assert HEALTH.decode(HEALTH.encode(items, probe)) == (items, probe)


@given(st.lists(ACK | UPDATES | KEYS | OUTCOME | HEALTHS, min_size=1, max_size=1))
def test_no_size_is_guessed_below_the_real_one(items: Sequence[object]) -> None:
    (item,) = items
    for wire, kinds in (
        (ACKS, (Ack,)),
        (SNAPSHOTS, (SnapshotUpdate, StoredKeys)),
        (OUTCOMES, (Outcome,)),
        (HEALTH, (TargetHealth,)),
    ):
        if isinstance(item, kinds):
            assert len(wire.encode([item], 0)) <= wire.size_bytes(item)


def test_updates_and_keys_travel_one_a_message() -> None:
    assert SNAPSHOTS.items_max == ACKS.items_max == 1


@pytest.mark.parametrize("wire", [ACKS, SNAPSHOTS, OUTCOMES, HEALTH])
def test_a_probe_travels_alone(wire: object) -> None:
    items, probe = wire.decode(wire.encode([], 7))  # type: ignore[attr-defined]  # one of four wires

    assert (list(items), probe) == ([], 7)
