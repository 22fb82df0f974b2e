"""Which replica owns a key."""

from __future__ import annotations

from collections import Counter

from services.kit.rpc.rendezvous import Rendezvous, ranked

NAMES = [f"10.0.0.{number}:9003" for number in range(1, 6)]
KEYS = [number.to_bytes(32, "big") for number in range(5_000)]


def test_owners_do_not_depend_on_the_order_of_names() -> None:
    there, here = Rendezvous(NAMES), Rendezvous(reversed(NAMES))

    assert [there.owner(key) for key in KEYS] == [here.owner(key) for key in KEYS]


def test_owners_are_the_same_in_every_process() -> None:
    owners = [Rendezvous(NAMES).owner(key) for key in KEYS[:6]]

    assert owners == [f"10.0.0.{number}:9003" for number in (4, 1, 2, 3, 3, 2)]


def test_keys_are_spread_evenly() -> None:
    rendezvous = Rendezvous(NAMES)

    shares = Counter(rendezvous.owner(key) for key in KEYS)

    assert all(850 <= share <= 1_150 for share in shares.values())


def test_only_the_keys_of_a_replica_that_leaves_move() -> None:
    before, after = Rendezvous(NAMES), Rendezvous(NAMES[1:])

    moved = {before.owner(key) for key in KEYS if before.owner(key) != after.owner(key)}

    assert moved == {NAMES[0]}


def test_the_only_name_owns_every_key() -> None:
    assert {Rendezvous(NAMES[:1]).owner(key) for key in KEYS} == {NAMES[0]}


def test_without_names_nobody_owns_a_key() -> None:
    assert Rendezvous(()).owner(b"key") is None


def test_each_salt_ranks_in_an_order_of_its_own_that_survives_changes() -> None:
    orders = {tuple(ranked(NAMES, salt=bytes([salt]))) for salt in range(50)}
    order = ranked(NAMES, salt=b"edge")

    assert len({order[0] for order in orders}) == 5
    assert ranked(NAMES[1:], salt=b"edge") == [name for name in order if name != NAMES[0]]
