"""
Proxies: which requests leave through the operator's proxy, and which go straight.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` as most tools read them: https goes through a CONNECT tunnel, plain http is
asked of the proxy in absolute form. `NO_PROXY` is a comma-separated list of names (each with its subdomains),
addresses, networks (`10.0.0.0/8`), each with an optional `:port`, or `*`. This machine itself is never reached
through a proxy: that would be another machine.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from services.edge.upstream.origin import DEFAULT_PORTS, Origin, normal_host
from services.kit.addresses import is_loopback, literal
from services.kit.errors import SettingsInvalid, UpstreamUnreachable
from services.kit.secret import Secret


class Proxy(msgspec.Struct, frozen=True):
    """One proxy. `authorization` is the whole value of `Proxy-Authorization`, empty without credentials."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authorization: Secret

    def __str__(self) -> str:
        return f"proxy {self.host}:{self.port}"

    @property
    def credentials(self) -> bytes:
        """The header line that names us to the proxy, or nothing."""
        if not self.authorization:
            return b""
        return b"Proxy-Authorization: %b\r\n" % self.authorization.reveal().encode("ascii")


class Bypass(msgspec.Struct, frozen=True):
    """One entry of `NO_PROXY`. Port 0: every port."""

    port: int
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
    name: str = ""

    def covers(self, origin: Origin) -> bool:
        """Whether this entry lets the origin be reached directly."""
        if self.port not in (0, origin.port):
            return False
        if self.network is not None:
            address = literal(origin.host)
            return address is not None and address in self.network
        host = origin.host.rstrip(".")
        return self.name == "*" or host == self.name or host.endswith("." + self.name)


class ProxyRules(msgspec.Struct, frozen=True):
    """The operator's proxies, by the scheme of what is reached through them."""

    https: Proxy | None = None
    http: Proxy | None = None
    bypasses: tuple[Bypass, ...] = ()

    @classmethod
    def parse(
        cls, *, https_proxy: str | None = None, http_proxy: str | None = None, no_proxy: str | None = None
    ) -> ProxyRules:
        """The rules of the three variables; unset and empty are the same. Raises SettingsInvalid."""
        return cls(
            https=_proxy("HTTPS_PROXY", https_proxy),
            http=_proxy("HTTP_PROXY", http_proxy),
            bypasses=tuple(_bypass(entry) for item in (no_proxy or "").split(",") if (entry := item.strip().lower())),
        )

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy to this origin, or None when it is reached directly."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None or is_loopback(origin.host) or any(bypass.covers(origin) for bypass in self.bypasses):
            return None
        return proxy


def _proxy(setting: str, url: str | None) -> Proxy | None:
    """A bare `host:port` is an http proxy. No message holds the URL, which may hold a password."""
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = normal_host(parts.hostname or ""), parts.port
    except (ValueError, UpstreamUnreachable):
        raise SettingsInvalid(f"{setting}: must be http://[user:password@]host[:port]") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise SettingsInvalid(f"{setting}: only http and https proxies are supported, not {parts.scheme}")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Proxy(scheme, host, port or DEFAULT_PORTS[scheme], _basic(parts.username, parts.password))


def _basic(username: str | None, password: str | None) -> Secret:
    if username is None:
        return Secret("")
    pair = f"{unquote(username)}:{unquote(password or '')}"
    return Secret("Basic " + base64.b64encode(pair.encode()).decode("ascii"))


def _bypass(entry: str) -> Bypass:
    """`10.0.0.0/8`, `10.0.0.1`, `[::1]:8443`, `example.com`, `.example.com`, `*.example.com`, each with a port, `*`."""
    network = _network(entry)
    if network is not None:
        return Bypass(0, network=network)
    host, colon, port = entry.rpartition(":")
    if not colon or not port.isdigit():
        host, port = entry, "0"
    network = _network(host.strip("[]"))
    if network is not None:
        return Bypass(int(port), network=network)
    return Bypass(int(port), name=host if host == "*" else host.removeprefix("*").strip("."))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
