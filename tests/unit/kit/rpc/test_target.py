"""Where replicas are, as an operator writes it."""

from __future__ import annotations

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.rpc.target import Address, Name, Target, parse_target, replica_of


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("limiter:9002", Target((Address("limiter:9002", "limiter:9002"),), ())),
        ("[::1]:9002", Target((Address("[::1]:9002", "[::1]:9002"),), ())),
        ("unix:///run/a.sock", Target((Address("unix:///run/a.sock", "unix:///run/a.sock"),), ())),
        ("a:1, b:2", Target((Address("a:1", "a:1"), Address("b:2", "b:2")), ())),
        ("dns:///limiter:9002", Target((), (Name("limiter", 9002),))),
        ("a:1,dns:///b:2", Target((Address("a:1", "a:1"),), (Name("b", 2),))),
    ],
)
def test_targets_are_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "limiter", ":9002", "limiter:", "a:1,,b:2", "limiter:0", "a:70000", "dns:///a"])
def test_what_is_no_target_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="must be host:port, dns:///name:port or unix:///path"):
        parse_target(text)


def test_a_replica_is_known_by_its_address_and_certified_by_its_name() -> None:
    name = Name("narrows-cache", 9003)

    assert replica_of(name, "10.0.0.7") == Address("10.0.0.7:9003", "ipv4:10.0.0.7:9003", "narrows-cache")
    assert replica_of(name, "fd00::7") == Address("[fd00::7]:9003", "ipv6:[fd00::7]:9003", "narrows-cache")
