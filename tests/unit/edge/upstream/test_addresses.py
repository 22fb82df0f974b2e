"""Which addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.upstream.addresses import check_host, is_loopback, refusal
from services.kit.errors import UpstreamAddressRefused

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
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:0a00:0001::1",
]
PUBLIC = ["8.8.8.8", "104.18.7.192", "2606:4700::6812:7c0", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("is_private_allowed", [False, True])
def test_link_local_and_metadata_addresses_are_always_refused(address: str, is_private_allowed: bool) -> None:
    assert refusal(ipaddress.ip_address(address), is_private_allowed=is_private_allowed) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_permission(address: str) -> None:
    parsed = ipaddress.ip_address(address)

    assert refusal(parsed, is_private_allowed=False) is not None
    assert refusal(parsed, is_private_allowed=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), is_private_allowed=False) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_form(address: ipaddress.IPv4Address) -> None:
    for allowed in (False, True):
        expected = refusal(address, is_private_allowed=allowed) is not None
        for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert (refusal(ipaddress.ip_address(form), is_private_allowed=allowed) is not None) == expected


@pytest.mark.parametrize(
    "host", ["metadata.google.internal", "metadata.google.internal.", "metadata", "instance-data", "169.254.169.254"]
)
def test_metadata_hosts_are_refused_before_anything_is_resolved(host: str) -> None:
    with pytest.raises(UpstreamAddressRefused):
        check_host(host, is_private_allowed=True)


def test_other_names_are_judged_by_what_they_resolve_to() -> None:
    check_host("api.example.com", is_private_allowed=False)
    check_host("127.0.0.1.nip.example", is_private_allowed=False)


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
