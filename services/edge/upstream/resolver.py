"""
Resolver: from a host name to addresses that may be connected to.

Names are resolved again for each new connection, because providers move; there is no cache to go stale. A burst of
new connections to one name shares the lookup that is under way: the loop's resolver has few threads, and one slow
name must not take them all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol, cast

import msgspec

from services.kit.addresses import is_metadata_name, literal, objection
from services.kit.errors import UpstreamAddressRefused

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class Address(msgspec.Struct, frozen=True):
    """One socket address: what `connect` takes."""

    family: int
    sockaddr: SocketAddress


class Resolver(Protocol):
    """Turns a name or a literal address into socket addresses, the preferred one first."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Every address there is. Raises OSError when there is none."""
        ...


class SystemResolver:
    """The machine's own resolver, off the loop."""

    def __init__(self) -> None:
        self._flights: dict[tuple[str, int], asyncio.Future[Sequence[Address]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        while (flight := self._flights.get((host, port))) is not None:
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result()
        return await self._fly(host, port)

    async def _fly(self, host: str, port: int) -> Sequence[Address]:
        """Look up, for whoever joins as well. Who joined one that was given up looks up again."""
        loop = asyncio.get_running_loop()
        flight: asyncio.Future[Sequence[Address]] = loop.create_future()
        self._flights[host, port] = flight
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            flight.set_result(
                [Address(int(family), cast(SocketAddress, sockaddr)) for family, _, _, _, sockaddr in found]
            )
        except OSError as error:
            flight.set_exception(error)
        except BaseException:
            flight.cancel()
            raise
        finally:
            del self._flights[host, port]
        return flight.result()


async def permitted_addresses(
    resolver: Resolver, host: str, port: int, *, is_private_allowed: bool
) -> Sequence[Address]:
    """The addresses of a host that may be connected to. Raises UpstreamAddressRefused when all are refused, OSError."""
    check_host(host, is_private_allowed=is_private_allowed)
    reasons: list[str] = []
    permitted: list[Address] = []
    for address in await resolver.resolve(host, port):
        reason = objection(ipaddress.ip_address(address.sockaddr[0]), is_private_allowed=is_private_allowed)
        if reason is None:
            permitted.append(address)
        else:
            reasons.append(reason)
    if not permitted and reasons:
        raise UpstreamAddressRefused(f"{host} resolves to {reasons[0]}, which is not allowed here")
    return permitted


def check_host(host: str, *, is_private_allowed: bool) -> None:
    """Refuse what the host itself gives away, before anything is resolved. Raises UpstreamAddressRefused."""
    if is_metadata_name(host):
        raise UpstreamAddressRefused(f"{host} is a metadata service and is never connected to")
    address = literal(host)
    reason = None if address is None else objection(address, is_private_allowed=is_private_allowed)
    if reason is not None:
        raise UpstreamAddressRefused(f"{host} is {reason}, which is not allowed here")
