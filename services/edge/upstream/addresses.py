"""
Addresses: which ones may be connected to.

A gateway that connects where a name says can be sent to the machine's own metadata service, which gives out
credentials to whoever asks. So link-local and metadata addresses are refused always, and private ones unless the
origin allows them. Hazard: a name is judged by what it resolves to, and the connection goes to the very address that
was judged; resolving the name again would let it change in between. IPv4 addresses hide inside IPv6 ones in several
forms; each is judged as the IPv4 address it is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from services.kit.errors import UpstreamAddressRefused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

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


def refusal(address: IPAddress, *, is_private_allowed: bool) -> str | None:
    """Why this address is refused, or None when it may be connected to."""
    for seen in _faces(address):
        if seen.is_link_local or seen in _METADATA_ADDRESSES:
            return "a link-local or metadata address"
        if seen.is_multicast:
            return "a multicast address"
        if not seen.is_global and not is_private_allowed:
            return "a private address, which is not allowed here"
    return None


def check_host(host: str, *, is_private_allowed: bool) -> None:
    """Refuse what the host itself gives away, before anything is resolved. Raises UpstreamAddressRefused."""
    if host.rstrip(".") in _METADATA_NAMES:
        raise UpstreamAddressRefused(f"{host} is a metadata service and is never connected to")
    address = literal(host)
    reason = refusal(address, is_private_allowed=is_private_allowed) if address is not None else None
    if reason is not None:
        raise UpstreamAddressRefused(f"{host} is {reason}")


def is_loopback(host: str) -> bool:
    """This machine, by name or address."""
    name = host.rstrip(".")
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    address = literal(host)
    return address is not None and any(seen.is_loopback for seen in _faces(address))


def literal(host: str) -> IPAddress | None:
    """The address that a host spells out, or None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
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
