"""
Addresses: where the operator may send traffic.

Which addresses are refused is decided in kit/addresses.py; here a URL is held against it. Plain http and private
addresses are for files and refused for custom resources, unless `NARROWS_PRIVATE_UPSTREAMS` says otherwise. Names are
judged by what they resolve to now, best effort. Hazard: a name may resolve to something else later, so the edge asks
again at each connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from services.kit.addresses import IPAddress, is_loopback, is_metadata_name, literal, objection

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
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
    if is_metadata_name(host):
        return "must not be a metadata service"
    address = literal(host)
    if address is not None:
        return _one_fault(address, rules)
    if is_loopback(host) and not rules.are_private_allowed:
        return _PRIVATE
    for text in rules.resolved.get(host, ()):
        found = literal(text)
        fault = _one_fault(found, rules) if found is not None else None
        if fault is not None:
            return f"resolves to an address that it must not: {fault}"
    return None


_PRIVATE = "must not be a private address; that needs NARROWS_PRIVATE_UPSTREAMS"


def _one_fault(address: IPAddress, rules: AddressRules) -> str | None:
    reason = objection(address, is_private_allowed=rules.are_private_allowed)
    if reason is None:
        return None
    return _PRIVATE if reason == "a private address" else f"must not be {reason}"
