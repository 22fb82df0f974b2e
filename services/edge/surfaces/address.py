"""
Addresses: what a request's target asks for.

Pure text work on the raw target, octet for octet: nothing is decoded or normalised, because what follows the
provider goes on as it came. The table of surfaces is docs/wire.md section 1. A host that a gateway claims implies
its account and gateway.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from services.kit.errors import Malformed, PathNotFound

AddressKind = Literal["native", "universal", "unified", "run"]

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_NAME_LENGTH_MAX = 64
_MANAGEMENT = "/client/v4/"


class Address(msgspec.Struct, frozen=True):
    """`path` and `query` follow the provider (or `compat`); `query` keeps its question mark, or is empty."""

    kind: AddressKind
    account: str
    gateway: str
    provider: str
    path: str
    query: str


def parse_target(target: str) -> Address:
    """The address of `/v1/{account}/{gateway}/...`. Raises PathNotFound, Malformed."""
    path, query = split_query(origin_form(target))
    parts = path.split("/", 5)
    if len(parts) < 4 or parts[0] or parts[1] != "v1" or not parts[2] or not parts[3]:
        raise PathNotFound("no such path: addresses begin with /v1/{account}/{gateway}")
    provider = parts[4] if len(parts) > 4 else ""
    rest = parts[5] if len(parts) > 5 else ""
    return _address(parts[2], parts[3], provider, rest, query)


def parse_hosted(target: str, account: str, gateway: str) -> Address:
    """The address of `/{provider}/...` on a host that this gateway claims. Raises PathNotFound."""
    path, query = split_query(origin_form(target))
    if path.startswith(_MANAGEMENT):
        raise PathNotFound("no such path: the management API is on the admin port")
    parts = path.split("/", 2)
    return _address(account, gateway, parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else "", query)


def is_name(text: str) -> bool:
    """Account and gateway names: `[a-z0-9_-]{1,64}`."""
    return 0 < len(text) <= _NAME_LENGTH_MAX and _NAME_CHARACTERS.issuperset(text)


def origin_form(target: str) -> str:
    """The path and query of a target, also of one in absolute form. Raises Malformed."""
    if target.startswith("/"):
        return target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise Malformed("the request's target must be a path")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def split_query(target: str) -> tuple[str, str]:
    """Path, and query with its question mark."""
    mark = target.find("?")
    return (target, "") if mark < 0 else (target[:mark], target[mark:])


def _address(account: str, gateway: str, provider: str, rest: str, query: str) -> Address:
    kind: AddressKind = "native"
    if not provider:
        if rest:
            raise PathNotFound("no such path: a provider's name must follow the gateway")
        kind = "universal"
    elif provider == "compat":
        kind = "unified"
    elif provider == "run":
        kind = "run"
    return Address(kind, account, gateway, provider, rest, query)
