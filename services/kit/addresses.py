"""
Addresses: which ones somebody else's text may lead to.

Whoever connects where a name says can be sent to the machine's own metadata service, which gives out credentials to
whoever asks. So link-local and metadata addresses are objected to always, and private ones unless they are allowed.
Resources are judged by this when they are read, connections again when a name has been resolved, and the admin port
asks it who this machine is.

Hazards: IPv4 addresses hide inside IPv6 ones in several forms, and in texts that only `inet_aton` reads (`0xA9FEA9FE`,
`2852039166`); each is judged as the address it is. A name may resolve to something else a moment later, so only the
very address that was judged may be connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Literal

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Objection = Literal["a link-local or metadata address", "an unspecified or multicast address", "a private address"]

_METADATA_NAMES = frozenset(
    (
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
    )
)
_METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOOPBACK_NAMES = ("localhost", "ip6-localhost")


def objection(address: IPAddress, *, is_private_allowed: bool) -> Objection | None:
    """What speaks against this address, or None when it may be connected to."""
    for seen in _faces(address):
        if seen.is_link_local or seen in _METADATA_ADDRESSES:
            return "a link-local or metadata address"
        if seen.is_unspecified or seen.is_multicast:
            return "an unspecified or multicast address"
        if not seen.is_global and not is_private_allowed:
            return "a private address"
    return None


def is_metadata_name(host: str) -> bool:
    """A name that stands for a metadata service, whatever it resolves to."""
    return host.lower().rstrip(".") in _METADATA_NAMES


def is_loopback(host: str) -> bool:
    """This machine, by name or address."""
    name = host.lower().rstrip(".")
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    address = literal(host)
    return address is not None and any(seen.is_loopback for seen in _faces(address))


def literal(host: str) -> IPAddress | None:
    """The address that a resolver would make of this host without asking anybody, or None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _old_style_literal(host)


def _old_style_literal(host: str) -> IPAddress | None:
    """`2852039166`, `0xa9fea9fe`, `169.254.43518`, `0251.0376.0251.0376`: what inet_aton takes."""
    if not host or any(character.isspace() for character in host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _faces(address: IPAddress) -> Iterable[IPAddress]:
    """The address as every network in between may understand it: itself, and IPv4 addresses that it embeds."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if any(address in network for network in _TRANSLATED):
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address in _COMPATIBLE and int(address) > 1:
        return (address, ipaddress.IPv4Address(int(address)))
    return (address,)
