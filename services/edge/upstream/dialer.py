"""
Dialer: from an origin to a transport that speaks with it.

Name, race, proxy, TLS, in this order and within one timeout. Everything that can go wrong on the way becomes one of
the upstream errors here, so nothing above sees an OSError. Hazard: a timeout or a cancelled request can stop it at
any await, so each step closes what the step before it opened.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable

import msgspec

from services.edge.upstream.origin import Origin
from services.edge.upstream.proxies import Proxy, ProxyRules
from services.edge.upstream.race import Connect, race
from services.edge.upstream.resolver import Resolver, check_host, permitted_addresses
from services.edge.upstream.tls import SessionContext, server_name, tls_failure
from services.edge.upstream.tunnel import Tunnel, wrap
from services.kit.errors import ConnectTimeout, Overloaded, UpstreamAddressRefused, UpstreamUnreachable

_OUT_OF_SOCKETS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)


class Route(msgspec.Struct, frozen=True):
    """How an origin is reached: directly, or through a proxy."""

    origin: Origin
    proxy: Proxy | None

    @property
    def is_tunnel(self) -> bool:
        """TLS to the origin runs inside a CONNECT tunnel."""
        return self.proxy is not None and self.origin.scheme == "https"

    @property
    def rewrite(self) -> Callable[[bytes], bytes] | None:
        """What plain http through a proxy does to each head: absolute form, and our credentials."""
        if self.proxy is None or self.is_tunnel:
            return None
        prefix = b" http://%b" % self.origin.authority
        credentials = self.proxy.credentials

        def absolute(head: bytes) -> bytes:
            method, _, rest = head.partition(b" ")
            line, end_of_line, headers = rest.partition(b"\r\n")
            return b"%b%b%b%b%b%b" % (method, prefix, line, end_of_line, credentials, headers)

        return absolute


class Dialer:
    """Opens connections. The protocol that `make` returns is connected when `dial` returns."""

    def __init__(
        self, *, resolver: Resolver, connect: Connect, tls: SessionContext, proxies: ProxyRules, head_start_s: float
    ) -> None:
        self.tls = tls
        self._resolver = resolver
        self._connect = connect
        self._proxies = proxies
        self._head_start_s = head_start_s

    def route(self, origin: Origin) -> Route:
        """How this origin is reached. Raises UpstreamAddressRefused for what scheme and host alone give away."""
        if origin.scheme == "http" and not origin.is_private_allowed:
            raise UpstreamAddressRefused(f"{origin}: plain http is not allowed here; use https")
        check_host(origin.host, is_private_allowed=origin.is_private_allowed)
        return Route(origin, self._proxies.proxy_for(origin))

    async def dial(self, route: Route, make: Callable[[], asyncio.Protocol], *, timeout_s: float) -> None:
        """
        Connect a protocol to the origin.

        Raises ConnectTimeout, UpstreamUnreachable, UpstreamProtocolError, UpstreamAddressRefused, Overloaded.
        """
        where = str(route.origin)
        try:
            async with asyncio.timeout(timeout_s):
                await self._open(route, make)
        except TimeoutError:
            raise ConnectTimeout(f"{where}: no connection within {timeout_s:g} s") from None
        except ssl.SSLError as error:
            raise tls_failure(where, error) from None
        except OSError as error:
            raise _unreachable(where, error) from None

    async def _open(self, route: Route, make: Callable[[], asyncio.Protocol]) -> None:
        sock = await self._socket(route)
        origin, proxy = route.origin, route.proxy
        if proxy is None:
            await self._attach(make, sock, tls_host=origin.host if origin.scheme == "https" else None)
            return
        proxy_tls_host = proxy.host if proxy.scheme == "https" else None
        if not route.is_tunnel:
            await self._attach(make, sock, tls_host=proxy_tls_host)
            return
        tunnel = Tunnel(origin, proxy)
        await self._attach(lambda: tunnel, sock, tls_host=proxy_tls_host)
        await wrap(await tunnel.opened(), make(), tls=self.tls, server_name=server_name(origin.host))

    async def _attach(self, make: Callable[[], asyncio.Protocol], sock: socket.socket, *, tls_host: str | None) -> None:
        loop = asyncio.get_running_loop()
        if tls_host is None:
            await loop.create_connection(make, sock=sock)
        else:
            await loop.create_connection(make, sock=sock, ssl=self.tls, server_hostname=server_name(tls_host))

    async def _socket(self, route: Route) -> socket.socket:
        """The operator chose the proxy, so it may be private; what it connects to is judged by its host alone."""
        origin, proxy = route.origin, route.proxy
        host, port, is_private_allowed = (
            (origin.host, origin.port, origin.is_private_allowed) if proxy is None else (proxy.host, proxy.port, True)
        )
        addresses = await permitted_addresses(self._resolver, host, port, is_private_allowed=is_private_allowed)
        return await race(addresses, self._connect, head_start_s=self._head_start_s)


def _unreachable(where: str, error: OSError) -> Overloaded | UpstreamUnreachable:
    """Errors of the network are the provider's; running out of sockets is ours, and must not eject the provider."""
    if error.errno in _OUT_OF_SOCKETS:
        return Overloaded("the edge is out of sockets", retry_after_s=1)
    return UpstreamUnreachable(f"{where}: no connection: {_reason(error)}")


def _reason(error: OSError) -> str:
    """The system's own words; event loops put their own into `strerror`, without saying what was wrong."""
    if error.errno is not None and error.errno in errno.errorcode and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
