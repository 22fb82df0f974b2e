"""Which addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.addresses import is_loopback, is_metadata_name, literal, objection

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fe80::1",
    "febf::1",
    "fe80::a9fe:a9fe",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:100.100.100.200",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:0a00:0001::1",
]
PUBLIC = ["8.8.8.8", "104.18.7.192", "2606:4700::6812:7c0", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("is_private_allowed", [False, True])
def test_addresses_that_nobody_should_reach_are_always_objected_to(address: str, is_private_allowed: bool) -> None:
    assert objection(ipaddress.ip_address(address), is_private_allowed=is_private_allowed) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_permission(address: str) -> None:
    parsed = ipaddress.ip_address(address)

    assert objection(parsed, is_private_allowed=False) is not None
    assert objection(parsed, is_private_allowed=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert objection(ipaddress.ip_address(address), is_private_allowed=False) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_form(address: ipaddress.IPv4Address) -> None:
    for allowed in (False, True):
        expected = objection(address, is_private_allowed=allowed) is not None
        for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert (objection(ipaddress.ip_address(form), is_private_allowed=allowed) is not None) == expected


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"])
def test_names_of_metadata_services_are_known(host: str) -> None:
    assert is_metadata_name(host)


@pytest.mark.parametrize(
    "text", ["2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "169.254.169.254"]
)
def test_an_address_is_read_in_every_spelling_a_resolver_would_take(text: str) -> None:
    assert literal(text) == ipaddress.ip_address("169.254.169.254")


@pytest.mark.parametrize("text", ["api.example.com", "", " 10.0.0.1", "10.0.0.1 x", "10.0.0.1\n"])
def test_a_name_is_no_address(text: str) -> None:
    assert literal(text) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_this_machine_is_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
