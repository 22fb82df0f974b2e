"""Connecting: from a name, over its addresses, to one connection, or to an error that says which step failed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

import pytest

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.origin import Origin
from services.edge.upstream.race import connect_socket
from services.edge.upstream.resolver import Address
from services.edge.upstream.tls import SessionContext
from services.kit.clock import SystemClock
from services.kit.errors import ConnectTimeout, Overloaded, UpstreamAddressRefused, UpstreamUnreachable
from tests.protocol.upstream.exchanges import request
from tests.protocol.upstream.scripted import ScriptedProvider, answering, ok, silent


async def test_a_port_nobody_listens_on_is_unreachable(client: UpstreamClient) -> None:
    async with ScriptedProvider(silent) as provider:
        origin = provider.origin()
    with pytest.raises(UpstreamUnreachable, match="refused"):
        await client.send(request(origin))

    assert client.stats().open == 0


async def test_a_name_that_does_not_exist_is_unreachable(client: UpstreamClient) -> None:
    with pytest.raises(UpstreamUnreachable, match=r"nowhere\.invalid"):
        await client.send(request(Origin.parse("https://nowhere.invalid", is_private_allowed=True)))


async def test_connecting_has_a_timeout_over_all_of_it(client_tls: SessionContext) -> None:
    async def never(_: object) -> None:
        await asyncio.sleep(3600)

    async with UpstreamClient(clock=SystemClock(), tls=client_tls, connect=never) as client:  # type: ignore[arg-type]
        with pytest.raises(ConnectTimeout):
            await client.send(request(Origin("http", "127.0.0.1", 1, True), connect_timeout_s=0.02))

        assert client.stats().open == 0


class Names:
    """Resolves every name to the same addresses, and counts."""

    def __init__(self, *addresses: Address) -> None:
        self._addresses = addresses
        self.count = 0

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.count += 1
        return self._addresses


async def test_a_silent_address_is_overtaken_by_the_next(client_tls: SessionContext) -> None:
    async def connect(address: Address) -> socket.socket:
        if address.family == socket.AF_INET6:
            await asyncio.sleep(3600)
        return await connect_socket(address)

    async with ScriptedProvider(answering(ok(b"hi"))) as provider:
        names = Names(
            Address(socket.AF_INET6, ("2001:db8::1", provider.port, 0, 0)),
            Address(socket.AF_INET, ("127.0.0.1", provider.port)),
        )
        async with UpstreamClient(
            clock=SystemClock(), tls=client_tls, resolver=names, connect=connect, head_start_s=0.02
        ) as client:
            answer = await client.send(request(Origin("http", "api.test", provider.port, True)))

            assert answer.take() == [b"hi"]


async def test_a_name_is_resolved_once_for_each_new_connection(client_tls: SessionContext) -> None:
    async with ScriptedProvider(answering(ok(), ok(b"", b"Connection: close"))) as provider:
        names = Names(Address(socket.AF_INET, ("127.0.0.1", provider.port)))
        async with UpstreamClient(clock=SystemClock(), tls=client_tls, resolver=names) as client:
            for _ in range(4):
                await client.send(request(Origin("http", "api.test", provider.port, True)))

            assert (names.count, provider.visits) == (2, 2)


@pytest.mark.parametrize(
    ("address", "is_private_allowed"), [("169.254.169.254", True), ("127.0.0.1", False), ("10.0.0.1", False)]
)
async def test_a_name_that_leads_to_a_refused_address_is_refused(
    client_tls: SessionContext, address: str, is_private_allowed: bool
) -> None:
    connected: list[Address] = []

    async def connect(address: Address) -> socket.socket:
        connected.append(address)
        return await connect_socket(address)

    names = Names(Address(socket.AF_INET, (address, 443)))
    async with UpstreamClient(clock=SystemClock(), tls=client_tls, resolver=names, connect=connect) as client:
        with pytest.raises(UpstreamAddressRefused):
            await client.send(request(Origin("https", "rebound.test", 443, is_private_allowed)))

        assert connected == []
        assert client.stats().open == 0


async def test_plain_http_without_permission_is_refused(client: UpstreamClient) -> None:
    async with ScriptedProvider(silent) as provider:
        with pytest.raises(UpstreamAddressRefused, match="https"):
            await client.send(request(Origin("http", "127.0.0.1", provider.port, False)))

        assert provider.visits == 0


async def test_running_out_of_sockets_is_our_own_overload(client_tls: SessionContext) -> None:
    async def connect(_: Address) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async with UpstreamClient(clock=SystemClock(), tls=client_tls, connect=connect) as client:
        with pytest.raises(Overloaded):
            await client.send(request(Origin("http", "127.0.0.1", 1, True)))
