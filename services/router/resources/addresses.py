"""
Addresses: where the operator may send traffic.

A link-local or metadata address is refused everywhere: behind it stand the machine's own credentials. Plain http and
private addresses are for files and refused for custom resources, unless `NARROWS_PRIVATE_UPSTREAMS` says otherwise.
Literal addresses are judged in every spelling that a resolver would take (`0xA9FEA9FE`, `2852039166`,
`::ffff:169.254.169.254`); names by what they resolve to now, best effort. Hazard: a name may resolve to something
else later, so the edge asks again at each connection.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset(
    {
        ipaddress.ip_address("169.254.169.254"),
        ipaddress.ip_address("100.100.100.200"),
        ipaddress.ip_address("168.63.129.16"),
        ipaddress.ip_address("fd00:ec2::254"),
        ipaddress.ip_address("fd20:ce::254"),
    }
)
_CARRIER_GRADE = ipaddress.ip_network("100.64.0.0/10")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")

Resolved = Mapping[str, Sequence[str]]
"""Names to the addresses they have now; a name that did not resolve in time is absent."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What this router lets resources point at."""

    are_private_allowed: bool
    resolved: Resolved


def host_of(url: str) -> str:
    """The host of a URL, lower case; empty if it has none or if parts of it come from a request's path."""
    parts = _split(url)
    host = (parts.hostname or "") if parts else ""
    return "" if _PLACEHOLDER.search(host) else host.rstrip(".")


def address_fault(url: str, rules: AddressRules, *, is_plain_http_allowed: bool) -> str | None:
    """Why this URL may not be used, or None. The URL itself is never repeated: a password may stand in it."""
    parts = _split(url)
    if parts is None:
        return "must be a URL such as https://host/path"
    form = _form_fault(parts)
    if form is not None:
        return form
    if parts.scheme == "http" and not rules.are_private_allowed:
        return "must begin with https://; plain http needs NARROWS_PRIVATE_UPSTREAMS"
    if parts.scheme == "http" and not is_plain_http_allowed:
        return "must begin with https://; plain http needs allowPlainHTTP: true"
    return _host_fault(host_of(url), rules)


def _split(url: str) -> SplitResult | None:
    if any(character <= " " or character > "~" for character in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname else None


def _form_fault(parts: SplitResult) -> str | None:
    if parts.scheme not in ("http", "https"):
        return "must begin with https:// or http://"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if parts.query or parts.fragment:
        return "must not hold a query or a fragment"
    bare = _PLACEHOLDER.sub("x", parts.netloc)
    host, _, port = bare.rpartition(":") if re.search(r":\d*$", bare) else (bare, "", "")
    if not _HOST.fullmatch(host) or (port and not 0 < int(port) < 65_536):
        return "must hold a host name or an address, and a port of 1 to 65535 if any"
    return None


def _host_fault(host: str, rules: AddressRules) -> str | None:
    if host in _METADATA_NAMES:
        return "must not be a metadata service"
    literal = _literal(host)
    if literal is not None:
        return _one_fault(literal, rules)
    if not rules.are_private_allowed and (host == "localhost" or host.endswith(".localhost")):
        return _PRIVATE
    for text in rules.resolved.get(host, ()):
        address = _literal(text)
        fault = _one_fault(address, rules) if address is not None else None
        if fault is not None:
            return f"resolves to an address that it must not: {fault}"
    return None


_PRIVATE = "must not be a private address; that needs NARROWS_PRIVATE_UPSTREAMS"


def _one_fault(address: Address, rules: AddressRules) -> str | None:
    if address in _METADATA_ADDRESSES or address.is_link_local:
        return "must not be a link-local or metadata address"
    if address.is_unspecified or address.is_multicast:
        return "must not be an unspecified or multicast address"
    is_private = address.is_private or address.is_loopback or address in _CARRIER_GRADE
    return _PRIVATE if is_private and not rules.are_private_allowed else None


def _literal(host: str) -> Address | None:
    """The address a resolver would make of it without asking anybody, or None for a name."""
    try:
        address: Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _old_style_literal(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _old_style_literal(host: str) -> Address | None:
    """`2852039166`, `0xa9fea9fe`, `169.254.43518`, `0251.0376.0251.0376`: what inet_aton takes."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host else None
    except OSError:
        return None
