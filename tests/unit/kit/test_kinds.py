from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.kit import kinds
from services.kit.kinds import Address, Kind

DEFAULT = Address("127.0.0.1", 8787)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("0.0.0.0", Address("0.0.0.0", 8787)),
        (":9000", Address("127.0.0.1", 9000)),
        ("[::1]:80", Address("::1", 80)),
        ("[::]", Address("::", 8787)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_an_address_takes_from_its_default_what_it_does_not_say(given: str, expected: Address) -> None:
    assert kinds.address().read(given, DEFAULT) == expected


@pytest.mark.parametrize("given", ["http://x:1", "x:y", "x:70000", "::1:80", "x:1:2", "a b:1", "x:-1"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"must be host:port, such as 127\.0\.0\.1:8787"):
        kinds.address().read(given, DEFAULT)


def test_an_ipv6_address_is_written_so_that_it_can_be_read_again() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("0.0.0.0", "0.0.0.0:9002"), (":1", "127.0.0.1:1"), ("unix:///run/x.sock", "unix:///run/x.sock")],
)
def test_an_rpc_address_may_be_a_socket(given: str, expected: str) -> None:
    assert kinds.rpc_address().read(given, "127.0.0.1:9002") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1048576", 1048576), ("256MiB", 268435456), ("1Gi", 1073741824), ("2k", 2048), ("10 KiB", 10240), ("5B", 5)],
)
def test_a_size_is_read_with_and_without_a_unit(given: str, expected: int) -> None:
    assert kinds.size().read(given, 0) == expected


@pytest.mark.parametrize("given", ["0", "-1", "1.5GiB", "lots", "1PiB", ""])
def test_what_is_no_size_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="must be a number of bytes above 0"):
        kinds.size().read(given, 0)


@pytest.mark.parametrize(("value", "shown"), [(268435456, "256 MiB"), (1 << 30, "1 GiB"), (1000, "1000")])
def test_a_size_is_shown_in_the_largest_unit_that_fits(value: int, shown: str) -> None:
    assert kinds.size().show(value) == shown


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (kinds.integer(lowest=1), "0", "must be a whole number of at least 1"),
        (kinds.integer(), "1e3", "must be a whole number of at least 0"),
        (kinds.number(highest=1.0), "1.5", "must be a number from 0 to 1"),
        (kinds.number(), "nan", "must be a number of at least 0"),
        (kinds.number(), "inf", "must be a number of at least 0"),
        (kinds.boolean(), "maybe", "must be on or off"),
        (kinds.choice("text", "json"), "xml", "must be text or json"),
        (kinds.choice("a", "b", "c"), "d", "must be one of a, b, c"),
        (kinds.url("redis", "rediss"), "localhost:6379", "must be a URL that begins with redis:// or rediss://"),
        (kinds.url("http"), "http://", "must be a URL that begins with http://"),
        (kinds.url("http"), "http://[::1", "must be a URL that begins with http://"),
        (kinds.replicas(), "narrows-router", "must be host:port, dns:///name:port"),
    ],
)
def test_what_a_kind_cannot_read_is_refused_with_what_would_be_right(kind: Kind[Any], given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind.read(given, None)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (kinds.path(), "~/x", Path.home() / "x"),
        (kinds.boolean(), "Yes", True),
        (kinds.url("unix"), "unix:///run/redis.sock", "unix:///run/redis.sock"),
        (kinds.replicas(), "a:1,dns:///b:2", "a:1,dns:///b:2"),
        (kinds.proxy(), "localhost:3128", "http://localhost:3128"),
        (kinds.proxy(), "https://proxy:3128", "https://proxy:3128"),
    ],
)
def test_a_kind_reads_its_values(kind: Kind[Any], given: str, expected: object) -> None:
    assert kind.read(given, None) == expected


def test_a_secret_does_not_show_itself() -> None:
    value = kinds.secret().read("hunter2", None)

    assert value is not None
    assert (value.reveal(), str(value)) == ("hunter2", "***")
