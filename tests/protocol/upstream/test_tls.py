"""TLS to providers: names, sessions, and origins that speak something else."""

from __future__ import annotations

import ssl

import pytest

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.origin import Origin
from services.edge.upstream.tls import client_context
from services.kit.clock import SystemClock
from services.kit.errors import UpstreamClosed, UpstreamProtocolError, UpstreamUnreachable
from tests.fakes.authority import Authority
from tests.protocol.upstream.exchanges import request, whole
from tests.protocol.upstream.scripted import ScriptedProvider, Visit, answering, chunked, ok

NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"


async def test_an_answer_over_tls_is_the_same(client: UpstreamClient, server_tls: ssl.SSLContext) -> None:
    async with ScriptedProvider(answering(ok(b"hi"), chunked(b"x" * 300_000)), tls=server_tls) as provider:
        first = await client.send(request(provider.origin()))
        second = await client.send(request(provider.origin(host="127.0.0.1"), body=b"y" * 1_000_000))

        assert await whole(first) == b"hi"
        assert await whole(second) == b"x" * 300_000
        assert provider.visits == 1


async def test_the_server_is_told_the_name_and_offered_only_http_1_1(
    client: UpstreamClient, authority: Authority
) -> None:
    context = authority.server_context("localhost", alpn=("h2", "http/1.1"))
    names: list[str | None] = []
    protocols: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)

    async def script(visit: Visit) -> None:
        protocols.append(visit.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await visit.request()
        await visit.send(ok())
        await visit.left()

    async with ScriptedProvider(script, tls=context) as provider:
        await client.send(request(provider.origin(host="localhost")))

        assert names == ["localhost"]
        assert protocols == ["http/1.1"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_kept_connection_leaves_its_session_behind(
    client: UpstreamClient, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server_context("localhost")
    context.minimum_version = context.maximum_version = version
    reused: list[bool] = []

    async def script(visit: Visit) -> None:
        await visit.request()
        reused.append(visit.writer.get_extra_info("ssl_object").session_reused)
        await visit.send(ok())

    async with ScriptedProvider(script, tls=context) as provider:
        for _ in range(3):
            answer = await client.send(request(provider.origin(host="localhost")))
            await whole(answer)

        assert reused == [False, True, True]


async def test_a_certificate_for_another_name_is_refused(client: UpstreamClient, authority: Authority) -> None:
    context = authority.server_context("other.test")
    async with ScriptedProvider(answering(ok()), tls=context) as provider:
        with pytest.raises(UpstreamUnreachable, match="certificate"):
            await client.send(request(provider.origin(host="localhost")))

        assert client.stats().open == 0


async def test_an_unknown_authority_is_refused(server_tls: ssl.SSLContext) -> None:
    async with (
        UpstreamClient(clock=SystemClock(), tls=client_context()) as client,
        ScriptedProvider(answering(ok()), tls=server_tls) as provider,
    ):
        with pytest.raises(UpstreamUnreachable, match=r"certificate.*NARROWS_UPSTREAM_CA"):
            await client.send(request(provider.origin(host="localhost")))


async def test_an_alert_about_protocols_says_http_2(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(1)
        await visit.send(NO_APPLICATION_PROTOCOL)
        await visit.left()

    async with ScriptedProvider(script) as provider:
        with pytest.raises(UpstreamProtocolError, match="HTTP/2"):
            await client.send(request(Origin("https", "127.0.0.1", provider.port, True)))


@pytest.mark.parametrize("kind", [4, 7], ids=["SETTINGS", "GOAWAY"])
async def test_http_2_frames_inside_tls_are_named(
    client: UpstreamClient, server_tls: ssl.SSLContext, kind: int
) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(bytes((0, 0, 0, kind, 0, 0, 0, 0, 0)))
        await visit.left()

    async with ScriptedProvider(script, tls=server_tls) as provider:
        with pytest.raises(UpstreamProtocolError, match="HTTP/2"):
            await client.send(request(provider.origin(host="localhost")))


async def test_a_server_that_hangs_up_without_agreeing_on_a_protocol_may_speak_http_2_only(
    client: UpstreamClient, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()

    context = authority.server_context("localhost", alpn=("h2",))
    async with ScriptedProvider(script, tls=context) as provider:
        with pytest.raises(UpstreamClosed, match="HTTP/2"):
            await client.send(request(provider.origin(host="localhost")))


async def test_a_server_that_agreed_on_http_1_1_and_hangs_up_does_not(
    client: UpstreamClient, server_tls: ssl.SSLContext
) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()

    async with ScriptedProvider(script, tls=server_tls) as provider:
        with pytest.raises(UpstreamClosed) as refused:
            await client.send(request(provider.origin(host="localhost")))

        assert "HTTP/2" not in refused.value.message


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64])
async def test_an_origin_without_tls_is_unreachable(client: UpstreamClient, greeting: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(1)
        await visit.send(greeting)

    async with ScriptedProvider(script) as provider:
        with pytest.raises(UpstreamUnreachable):
            await client.send(request(Origin("https", "localhost", provider.port, True)))

        assert client.stats().open == 0


async def test_a_body_that_ends_by_closing_ends_over_tls_too(
    client: UpstreamClient, server_tls: ssl.SSLContext
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nhe", b"llo")

    async with ScriptedProvider(script, tls=server_tls) as provider:
        answer = await client.send(request(provider.origin(host="localhost")))

        assert await whole(answer) == b"hello"
        assert not answer.is_framed
