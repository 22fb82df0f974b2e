"""
Origin: where a provider is reached, without path or credentials.

It is the key of the connection pools, looked up on every request, so its hash is kept. Two origins that differ only
in `is_private_allowed` do not share connections: a connection to a private address must not serve who may not have
it.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cached_property
from typing import Literal, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from services.kit.errors import UpstreamAddressRefused, UpstreamUnreachable

Scheme = Literal["http", "https"]

DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NAME_LENGTH_MAX = 254
_NUMBER_AT_END = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$")


class Origin(msgspec.Struct, frozen=True, cache_hash=True, dict=True):
    """Scheme, host (lower case, IDNA, an IPv6 address without brackets) and port."""

    scheme: Scheme
    host: str
    port: int
    is_private_allowed: bool
    """Plain http and private addresses may be used; link-local and metadata addresses never."""

    @classmethod
    def parse(cls, url: str, *, is_private_allowed: bool) -> Origin:
        """The origin of a base URL. Raises UpstreamUnreachable; UpstreamAddressRefused for http where not allowed."""
        parts, port = _split(url)
        if parts.scheme not in DEFAULT_PORTS:
            raise UpstreamUnreachable("a provider's URL must start with https:// or http://")
        if parts.username is not None or parts.password is not None:
            raise UpstreamUnreachable("a provider's URL must not hold credentials; configure a key instead")
        scheme = cast(Scheme, parts.scheme)
        if scheme == "http" and not is_private_allowed:
            raise UpstreamAddressRefused("plain http to a provider is not allowed here; use https")
        return cls(scheme, normal_host(parts.hostname or ""), port or DEFAULT_PORTS[scheme], is_private_allowed)

    @cached_property
    def authority(self) -> bytes:
        """The value of the `Host` header: no port where it is the scheme's own."""
        if self.port == DEFAULT_PORTS[self.scheme]:
            return self._bracketed_host.encode("ascii")
        return f"{self._bracketed_host}:{self.port}".encode("ascii")

    @property
    def host_and_port(self) -> str:
        """Both, always; the target of CONNECT."""
        return f"{self._bracketed_host}:{self.port}"

    @property
    def _bracketed_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode('ascii')}"


def normal_host(host: str) -> str:
    """A host name or address as it is compared and resolved. Raises UpstreamUnreachable when it can be neither."""
    if ":" in host:
        return _normal_address(host)
    try:
        name = host.lower().encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH_MAX:
        raise UpstreamUnreachable(f"{host!r} is not a host name")
    return _normal_address(name.rstrip(".")) if _NUMBER_AT_END.search(name) else name


def _normal_address(host: str) -> str:
    """
    Only the usual spelling: `127.1`, `0x7f000001` and `2130706433` are addresses as well to many resolvers.

    They would not be recognized as what they are before they are resolved, which a proxy may do instead of us.
    """
    try:
        if "%" in host:
            raise ValueError("a zone belongs to a link-local address")
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise UpstreamUnreachable(f"{host!r} is not an IP address") from None


def _split(url: str) -> tuple[SplitResult, int | None]:
    """Raises UpstreamUnreachable; port 0 cannot be connected to and is refused like a bad one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UpstreamUnreachable("a provider's URL has a bad host or port") from None
    is_bracketed = "[" in parts.netloc
    if port == 0 or not url.isprintable() or " " in url or is_bracketed != (":" in (parts.hostname or "")):
        raise UpstreamUnreachable("a provider's URL has a bad host or port")
    return parts, port
