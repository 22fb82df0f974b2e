"""Requests through the operator's proxy, in a tunnel and in absolute form."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.origin import Origin
from services.edge.upstream.proxies import ProxyRules
from services.edge.upstream.resolver import Address
from services.edge.upstream.tls import SessionContext
from services.kit.clock import SystemClock
from services.kit.errors import ConnectTimeout, UpstreamAddressRefused, UpstreamUnreachable
from tests.fakes.authority import Authority
from tests.protocol.upstream.exchanges import request, whole
from tests.protocol.upstream.scripted import Script, ScriptedProvider, Visit, answering, ok

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"
CREDENTIALS = b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"


class OnlyLocal:
    """Resolves nothing but this machine: behind a proxy, other names cannot be resolved here."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        if host not in ("127.0.0.1", "localhost"):
            raise AssertionError(f"{host} was resolved")
        return [Address(2, ("127.0.0.1", port))]


@asynccontextmanager
async def through(tls: SessionContext, url: str, *, no_proxy: str = "") -> AsyncIterator[UpstreamClient]:
    rules = ProxyRules.parse(https_proxy=url, http_proxy=url, no_proxy=no_proxy)
    async with UpstreamClient(clock=SystemClock(), tls=tls, proxies=rules, resolver=OnlyLocal()) as client:
        yield client


def tunneling(port: int, heads: list[bytes]) -> Script:
    """A proxy that opens every tunnel to this port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def script(visit: Visit) -> None:
        heads.append(await visit.head())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await visit.send(ESTABLISHED)
            await asyncio.gather(copy(visit.reader, writer), copy(reader, visit.writer))
        finally:
            writer.transport.abort()

    return script


@pytest.fixture
def provider_tls(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("api.provider.test")


PROVIDER = Origin.parse("https://api.provider.test", is_private_allowed=False)


async def test_https_goes_through_a_tunnel(client_tls: SessionContext, provider_tls: ssl.SSLContext) -> None:
    heads: list[bytes] = []
    async with (
        ScriptedProvider(answering(ok(b"hi")), tls=provider_tls) as provider,
        ScriptedProvider(tunneling(provider.port, heads)) as proxy,
        through(client_tls, f"http://user:p%40ss@127.0.0.1:{proxy.port}") as client,
    ):
        for _ in range(2):
            answer = await client.send(request(PROVIDER))
            assert await whole(answer) == b"hi"

        target = b"api.provider.test:443"
        assert heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, CREDENTIALS)]


@pytest.mark.parametrize("is_proxy_tls", [False, True])
async def test_a_tunnel_can_start_at_a_proxy_behind_tls(
    client_tls: SessionContext, provider_tls: ssl.SSLContext, server_tls: ssl.SSLContext, is_proxy_tls: bool
) -> None:
    heads: list[bytes] = []
    scheme = "https" if is_proxy_tls else "http"
    async with (
        ScriptedProvider(answering(ok(b"hi" * 100_000)), tls=provider_tls) as provider,
        ScriptedProvider(tunneling(provider.port, heads), tls=server_tls if is_proxy_tls else None) as proxy,
        through(client_tls, f"{scheme}://localhost:{proxy.port}") as client,
    ):
        answer = await client.send(request(PROVIDER))

        assert await whole(answer) == b"hi" * 100_000


async def test_plain_http_is_asked_in_absolute_form(client_tls: SessionContext) -> None:
    heads: list[bytes] = []

    async def script(visit: Visit) -> None:
        heads.append((await visit.request()).head)
        await visit.send(ok(b"hi"))
        await visit.left()

    async with (
        ScriptedProvider(script) as proxy,
        through(client_tls, f"http://user:p%40ss@127.0.0.1:{proxy.port}") as client,
    ):
        origin = Origin.parse("http://vllm.ai.svc:8000", is_private_allowed=True)
        answer = await client.send(request(origin))

        assert answer.take() == [b"hi"]
        assert heads == [
            b"POST http://vllm.ai.svc:8000/v1/chat HTTP/1.1\r\n%bHost: vllm.ai.svc:8000\r\nContent-Length: 2\r\n\r\n"
            % CREDENTIALS
        ]


async def test_what_no_proxy_names_is_reached_directly(client_tls: SessionContext) -> None:
    async with (
        ScriptedProvider(answering(ok(b"direct"))) as provider,
        through(client_tls, "http://127.0.0.1:1", no_proxy="127.0.0.0/8") as client,
    ):
        answer = await client.send(request(provider.origin()))

        assert answer.take() == [b"direct"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", "bytes of its own"),
        (b"SSH-2.0\r\n\r\n", "in HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, "in HTTP"),
        (b"HTTP/1.1 2", "closed"),
    ],
    ids=["refused", "extra-bytes", "no-http", "endless-head", "closed"],
)
async def test_a_tunnel_that_is_not_opened_is_unreachable(
    client_tls: SessionContext, reply: bytes, reason: str
) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(reply)

    async with (
        ScriptedProvider(script) as proxy,
        through(client_tls, f"http://user:secret@127.0.0.1:{proxy.port}") as client,
    ):
        with pytest.raises(UpstreamUnreachable, match=reason) as failed:
            await client.send(request(PROVIDER))

        assert "secret" not in str(failed.value)
        assert client.stats().open == 0


async def test_a_proxy_that_does_not_answer_is_a_connect_timeout(client_tls: SessionContext) -> None:
    async def script(visit: Visit) -> None:
        await visit.left()

    async with (
        ScriptedProvider(script) as proxy,
        through(client_tls, f"http://127.0.0.1:{proxy.port}") as client,
    ):
        with pytest.raises(ConnectTimeout):
            await client.send(request(PROVIDER, connect_timeout_s=0.05))


async def test_tls_that_fails_inside_the_tunnel_is_unreachable(
    client_tls: SessionContext, server_tls: ssl.SSLContext
) -> None:
    heads: list[bytes] = []
    async with (
        ScriptedProvider(answering(ok()), tls=server_tls) as provider,
        ScriptedProvider(tunneling(provider.port, heads)) as proxy,
        through(client_tls, f"http://127.0.0.1:{proxy.port}") as client,
    ):
        with pytest.raises(UpstreamUnreachable, match="certificate"):
            await client.send(request(PROVIDER))

        assert client.stats().open == 0


async def test_a_metadata_address_is_refused_behind_a_proxy_too(client_tls: SessionContext) -> None:
    async with through(client_tls, "http://127.0.0.1:1") as client:
        with pytest.raises(UpstreamAddressRefused):
            await client.send(request(Origin("http", "169.254.169.254", 80, True)))
