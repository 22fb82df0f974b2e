"""Answers in every framing HTTP/1.1 knows, as bytes on a socket."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.upstream.client import UpstreamClient
from services.kit.errors import StreamBroken, StreamStalled, UpstreamClosed, UpstreamProtocolError
from tests.protocol.upstream.exchanges import collect, request, whole
from tests.protocol.upstream.scripted import ScriptedProvider, Visit, answering, chunked, ok


def bytewise(answer: bytes) -> list[bytes]:
    return [answer[at : at + 1] for at in range(len(answer))]


async def test_a_small_answer_is_whole_when_send_returns(client: UpstreamClient) -> None:
    async with ScriptedProvider(answering(ok(b'{"a":1}'))) as provider:
        answer = await client.send(request(provider.origin()))

        assert answer.is_finished
        assert answer.take() == [b'{"a":1}']
        assert (answer.status, answer.reason, answer.is_framed) == (200, b"OK", True)


async def test_headers_come_as_they_were_sent(client: UpstreamClient) -> None:
    headers = (b"X-Two: 1", b"x-two: 2", b"Set-Cookie: a=b; Path=/", b"SET-COOKIE: c=d", b"X-Empty:")
    async with ScriptedProvider(answering(ok(b"", *headers))) as provider:
        answer = await client.send(request(provider.origin()))

        assert answer.headers == [
            (b"Content-Length", b"0"),
            (b"X-Two", b"1"),
            (b"x-two", b"2"),
            (b"Set-Cookie", b"a=b; Path=/"),
            (b"SET-COOKIE", b"c=d"),
            (b"X-Empty", b""),
        ]


@pytest.mark.parametrize(
    "raw",
    [
        ok(b"hello"),
        chunked(b"he", b"llo"),
        chunked(b"hello").replace(b"0\r\n\r\n", b"0\r\nX-Trailer: v\r\nX-Other: w\r\n\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"hello"),
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok(b"hello"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;name=value\r\nhello\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks", "trailers", "continue", "hints", "extensions"],
)
async def test_an_answer_split_at_every_byte_is_the_same(client: UpstreamClient, raw: bytes) -> None:
    async with ScriptedProvider(answering(raw, pieces=bytewise)) as provider:
        first = await client.send(request(provider.origin()))
        first_body = await whole(first)
        second = await client.send(request(provider.origin()))

        assert (first.status, first_body, await whole(second)) == (200, b"hello", b"hello")
        assert not [name for name, _ in first.headers if name.lower() in (b"link", b"x-trailer", b"x-other")]
        assert provider.visits == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_bodiless_statuses_end_with_their_head(client: UpstreamClient, status: bytes) -> None:
    raw = b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\n" % status
    async with ScriptedProvider(answering(raw, ok(b"next"))) as provider:
        answer = await client.send(request(provider.origin()))
        following = await client.send(request(provider.origin()))

        assert answer.is_finished
        assert answer.take() == []
        assert following.take() == [b"next"]
        assert provider.visits == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    ],
    ids=["length", "chunks", "empty", "after-continue"],
)
@pytest.mark.parametrize("is_split", [False, True])
async def test_an_answer_to_head_ends_with_its_head(client: UpstreamClient, raw: bytes, is_split: bool) -> None:
    pieces = bytewise if is_split else lambda answer: [answer]
    async with ScriptedProvider(answering(raw, ok(b"next"), pieces=pieces)) as provider:
        answer = await client.send(request(provider.origin(), method=b"HEAD", body=b""))
        following = await client.send(request(provider.origin()))

        assert answer.is_finished
        assert answer.take() == []
        assert await whole(following) == b"next"
        assert provider.visits == 1


async def test_a_body_sent_in_answer_to_head_is_dropped_with_its_connection(client: UpstreamClient) -> None:
    async with ScriptedProvider(answering(ok(b"wrong"), ok(b"next"))) as provider:
        answer = await client.send(request(provider.origin(), method=b"HEAD", body=b""))
        following = await client.send(request(provider.origin()))

        assert answer.take() == []
        assert following.take() == [b"wrong"]
        assert provider.visits == 2


async def test_a_body_that_ends_by_closing_is_not_framed(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nhe", b"llo")

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))

        assert not answer.is_framed
        assert await whole(answer) == b"hello"
        assert answer.is_finished


async def test_an_http_1_0_answer_with_a_length_does_not_keep_the_connection(client: UpstreamClient) -> None:
    raw = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with ScriptedProvider(answering(raw)) as provider:
        for _ in range(2):
            answer = await client.send(request(provider.origin()))
            assert await whole(answer) == b"hi"

        assert provider.visits == 2


async def test_connection_close_is_obeyed(client: UpstreamClient) -> None:
    async with ScriptedProvider(answering(ok(b"hi", b"Connection: close"))) as provider:
        for _ in range(2):
            answer = await client.send(request(provider.origin()))
            assert await whole(answer) == b"hi"

        assert provider.visits == 2


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale", b"HTTP/1.1 2"])
async def test_bytes_after_the_end_poison_the_connection(client: UpstreamClient, extra: bytes) -> None:
    async with ScriptedProvider(answering(ok(b"first") + extra)) as provider:
        for _ in range(2):
            answer = await client.send(request(provider.origin()))
            assert answer.take() == [b"first"]

        assert provider.visits == 2


async def test_bytes_on_an_idle_connection_poison_it(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(ok(b"first"), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        await client.send(request(provider.origin()))
        while client.stats().open:
            await asyncio.sleep(0.001)
        answer = await client.send(request(provider.origin()))

        assert answer.take() == [b"first"]
        assert provider.visits == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 104 Odd\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 257 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 65536 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 66000,
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 3000,
    ],
    ids=[
        "two-lengths",
        "length-then-chunks",
        "chunks-then-length",
        "coded-transfer",
        "identity-transfer",
        "negative-length",
        "listed-length",
        "bare-line-feeds",
        "folded-header",
        "space-in-name",
        "status-below-100",
        "unasked-upgrade",
        "interim-with-body",
        "http-2-version",
        "rtsp",
        "leading-line",
        "ssh",
        "too-many-headers",
        "head-too-large",
        "endless-header",
        "endless-interim",
    ],
)
@pytest.mark.parametrize("is_split", [False, True])
async def test_what_is_not_clean_http_is_refused(client: UpstreamClient, raw: bytes, is_split: bool) -> None:
    def halves(answer: bytes) -> list[bytes]:
        return [answer[:5], answer[5 : len(answer) // 2], answer[len(answer) // 2 :]]

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(*(halves(raw) if is_split else [raw]))
        await visit.left()

    async with ScriptedProvider(script) as provider:
        with pytest.raises(UpstreamProtocolError):
            await client.send(request(provider.origin()))


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("is_early", [False, True])
async def test_a_provider_that_speaks_http_2_only_is_named(
    client: UpstreamClient, is_split: bool, is_early: bool
) -> None:
    settings = b"\0\0\x0c\x04\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0"

    async def script(visit: Visit) -> None:
        if not is_early:
            await visit.head()
        await visit.send(*(bytewise(settings) if is_split else [settings]))
        await visit.left()

    async with ScriptedProvider(script) as provider:
        with pytest.raises(UpstreamProtocolError, match="HTTP/2"):
            await client.send(request(provider.origin()))


@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_close_before_the_head_is_told_apart(client: UpstreamClient, sent: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(sent)

    async with ScriptedProvider(script) as provider:
        with pytest.raises(UpstreamClosed):
            await client.send(request(provider.origin()))

        assert provider.visits == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_cut_body_gives_what_came_and_then_breaks(client: UpstreamClient, sent: bytes, is_reset: bool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(sent)
        await asyncio.sleep(0.02)
        if is_reset:
            visit.reset()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        parts: list[bytes] = []
        with pytest.raises(StreamBroken) as broken:
            await collect(answer, parts)

        assert b"".join(parts) == b"hello"
        assert not answer.is_finished
        assert not isinstance(broken.value, StreamStalled)


async def test_a_reset_of_a_body_that_ends_by_closing_is_a_cut(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await asyncio.sleep(0.02)
        visit.reset()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        with pytest.raises(StreamBroken):
            await whole(answer)


async def test_malformed_chunks_break_the_stream(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"zz\r\n")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        with pytest.raises(StreamBroken, match="malformed"):
            await whole(answer)


async def test_endless_trailers_break_the_stream(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        while True:
            await visit.send(b"y" * 4096)

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))
        with pytest.raises(StreamBroken, match="framing"):
            await whole(answer)


async def test_a_long_stream_of_tiny_segments_is_no_overhead(client: UpstreamClient) -> None:
    events = [b"data: %d\n\n" % number for number in range(200)]

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            await visit.send(b"%x;%b\r\n" % (len(event), b"p" * 2000), event + b"\r\n")
        await visit.send(b"0\r\n\r\n")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin()))

        assert await whole(answer) == b"".join(events)


async def test_silence_in_a_body_is_a_stall(client: UpstreamClient) -> None:
    loop = asyncio.get_running_loop()

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhe", b"l", b"l")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), idle_timeout_s=0.1))
        started = loop.time()
        with pytest.raises(StreamStalled):
            await whole(answer)

        assert 0.09 < loop.time() - started < 0.3
        assert client.stats().idle == 0


async def test_bytes_that_keep_coming_hold_off_the_stall(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.03)
            await visit.send(b"x")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), idle_timeout_s=0.1))

        assert await whole(answer) == b"x" * 8


async def test_silence_before_the_head_is_the_callers_to_judge(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(0.1)
        await visit.send(ok(b"late"))

    async with ScriptedProvider(script) as provider:
        answer = await client.send(request(provider.origin(), idle_timeout_s=0.02))

        assert answer.take() == [b"late"]


async def test_the_next_answer_on_a_connection_has_its_own_idle_timeout(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", b"i")
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
        await visit.left()

    async with ScriptedProvider(script) as provider:
        assert await whole(await client.send(request(provider.origin(), idle_timeout_s=60))) == b"hi"
        answer = await client.send(request(provider.origin(), idle_timeout_s=0.05))
        with pytest.raises(StreamStalled):
            await whole(answer)

        assert provider.visits == 1


async def test_an_upgrade_opens_bytes_both_ways(client: UpstreamClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhel")
        await visit.send(b"lo")
        assert await visit.reader.readexactly(4) == b"ping"
        await visit.send(b"pong")

    async with ScriptedProvider(script) as provider:
        upgrade = request(
            provider.origin(),
            method=b"GET",
            body=b"",
            headers=b"Connection: upgrade\r\nUpgrade: websocket\r\n",
            accepts_upgrade=True,
        )
        answer = await client.send(upgrade)
        received = b""
        while received != b"hello":
            assert await answer.more()
            received += b"".join(answer.take())
        answer.write(b"ping")
        await answer.drain()
        received += await whole(answer)

        assert (answer.status, answer.is_framed, received) == (101, False, b"hellopong")
        with pytest.raises(StreamBroken):
            answer.write(b"late")


async def test_answers_that_are_recognised_and_answers_that_are_parsed_take_turns(client: UpstreamClient) -> None:
    usual = [ok(b"x" * size, b"X-Request-Id: %d" % size) for size in (3, 0, 12)]
    raws = [usual[0], usual[1], chunked(b"he", b"llo"), usual[2], ok(b"plain"), usual[0], usual[2]]
    async with ScriptedProvider(answering(*raws)) as provider:
        answers = [await client.send(request(provider.origin())) for _ in raws]

        bodies = [await whole(answer) for answer in answers]
        assert bodies == [b"xxx", b"", b"hello", b"x" * 12, b"plain", b"xxx", b"x" * 12]
        assert [answer.known_head is not None for answer in answers] == [False, True, False, True, False, True, True]
        assert answers[-1].headers == answers[3].headers
        assert provider.visits == 1


async def test_an_answer_to_head_is_never_recognised(client: UpstreamClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with ScriptedProvider(answering(raw, raw, raw.replace(b"0", b"9"), raw)) as provider:
        await client.send(request(provider.origin()))
        recognised = await client.send(request(provider.origin()))
        answer = await client.send(request(provider.origin(), method=b"HEAD", body=b""))

        assert recognised.known_head is not None
        assert answer.known_head is None
        assert answer.is_finished
