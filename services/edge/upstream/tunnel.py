"""
Tunnel: CONNECT through a proxy, then TLS to the provider inside it.

The proxy answers with a head and nothing else; whatever follows belongs to the provider, who does not speak first in
TLS. So bytes after the head mean that something on the way is not what it seems, and the tunnel is given up.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from services.edge.upstream.origin import Origin
from services.edge.upstream.proxies import Proxy
from services.kit.errors import UpstreamUnreachable

_HEAD_BYTES_MAX = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class Tunnel(asyncio.Protocol):
    """Asks for the tunnel as soon as the proxy is connected."""

    def __init__(self, origin: Origin, proxy: Proxy) -> None:
        self._origin = origin
        self._proxy = proxy
        self._head = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def opened(self) -> asyncio.Transport:
        """The transport, once it leads to the provider; closed when that fails. Raises UpstreamUnreachable."""
        transport = cast(asyncio.Transport, self._transport)
        try:
            await self._opened
        except BaseException:
            transport.abort()
            raise
        return transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        target = self._origin.host_and_port.encode("ascii")
        self._transport.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, self._proxy.credentials))

    def data_received(self, chunk: bytes) -> None:
        self._head += chunk
        end = self._head.find(_END_OF_HEAD)
        if self._opened.done():
            return
        if end < 0 and len(self._head) <= _HEAD_BYTES_MAX:
            return
        status = _status(self._head)
        if end < 0 or status is None:
            self._give_up("did not answer CONNECT in HTTP")
        elif not 200 <= status < 300:
            self._give_up(f"refused CONNECT with status {status}")
        elif end + len(_END_OF_HEAD) != len(self._head):
            self._give_up("sent bytes of its own into the tunnel")
        else:
            self._opened.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._give_up("closed the connection instead of opening a tunnel")

    def _give_up(self, what: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(UpstreamUnreachable(f"{self._origin}: the {self._proxy} {what}"))


async def wrap(
    transport: asyncio.Transport, protocol: asyncio.Protocol, *, tls: ssl.SSLContext, server_name: str
) -> None:
    """TLS to the provider over an open tunnel; the protocol is connected when it returns."""
    try:
        wrapped = await asyncio.get_running_loop().start_tls(transport, protocol, tls, server_hostname=server_name)
    except BaseException:
        transport.abort()
        raise
    if wrapped is None:
        raise ConnectionResetError("the tunnel closed during the TLS handshake")
    protocol.connection_made(wrapped)


def _status(head: bytes) -> int | None:
    line = head.partition(b"\r\n")[0].split(b" ", 2)
    if len(line) < 2 or not line[0].startswith(b"HTTP/1.") or not line[1].isdigit():
        return None
    return int(line[1])
