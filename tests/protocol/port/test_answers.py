"""Answers: as the provider said them, whole or visibly broken, and never held back."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge, until
from tests.protocol.port.provider import Provider, saying, stream
from tests.protocol.port.raw import RawAnswer, post, request
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
MESSAGES = "/v1/local/main/anthropic/v1/messages"
GEMINI = "/v1/local/main/google-ai-studio/v1beta/models/gemini-9:streamGenerateContent"
PLAIN = "/v1/local/main/parallel/v1beta/runs"
STREAM = b'{"model":"m","stream":true}'
EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
MESSAGE_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"hi"}}\n\n'


def last_event_of(answer: RawAnswer) -> tuple[str, object]:
    """Name and decoded data of the last event, as a client's parser finds them."""
    fields = {}
    for line in answer.body.decode().rstrip("\n").rpartition("\n\n")[2].split("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields.get("event", ""), json.loads(fields["data"])


async def test_events_come_as_they_leave_the_provider(edge: RunningEdge, provider: Provider) -> None:
    go_on = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        await go_on.wait()
        await visit.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT))

    provider.turn = turn
    client = await edge.connect()
    await client.send(post(CHAT, STREAM))
    await client.head()
    first = await client.reader.readuntil(EVENT)
    go_on.set()
    rest = await client.reader.readuntil(b"0\r\n\r\n")

    assert first.endswith(EVENT)
    assert EVENT in rest


async def test_half_an_event_is_not_held_back(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(b'data: {"cho', is_whole=False))
        await visit.left()

    provider.turn = turn
    client = await edge.connect()
    await client.send(post(CHAT, STREAM))

    assert (await client.head()).status == 200
    assert await client.reader.readuntil(b'data: {"cho') == b'b\r\ndata: {"cho'


async def test_a_stream_that_lacks_its_done_gets_none(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(stream(EVENT))
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert answer.is_whole
    assert answer.body == EVENT


BREAKS = {
    "openai": (CHAT, EVENT, "", "error"),
    "anthropic": (MESSAGES, MESSAGE_EVENT, "error", "error"),
    "google": (f"{GEMINI}?alt=sse", b'data: {"candidates":[]}\n\n', "", "error"),
    "a dialect nobody reads": (PLAIN, b"data: tick\n\n", "error", "error"),
}


@pytest.mark.parametrize(("path", "event", "name", "key"), BREAKS.values(), ids=BREAKS.keys())
@pytest.mark.parametrize("cut_bytes", [0, 3], ids=["between events", "within an event"])
async def test_a_cut_stream_ends_with_an_error_in_its_own_protocol(
    edge: RunningEdge, provider: Provider, path: str, event: bytes, name: str, key: str, cut_bytes: int
) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(event, event[: len(event) - cut_bytes], is_whole=False))
        visit.reset()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(path, STREAM))

    last_name, last = last_event_of(answer)
    assert answer.status == 200
    assert not answer.is_whole
    assert last_name == name
    assert isinstance(last, dict)
    assert key in last
    row = await edge.row(answer.get("cf-aig-log-id"))
    assert (row.ended, row.error_code, row.success) == ("cut", 2207, False)


async def test_a_gemini_array_that_is_cut_ends_with_an_error_item(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        await visit.send(head + b'15\r\n[{"candidates": []}\r\n\r\n')
        visit.reset()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(GEMINI, b"{}"))

    assert not answer.is_whole
    assert answer.json()[-1]["error"]["status"] == "UNAVAILABLE"


async def test_a_malformed_event_breaks_the_stream(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(stream(EVENT, b"data: {not json\n\n", EVENT))
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert not answer.is_whole
    assert b"{not json" in answer.body
    assert b'"code":"2207"' in answer.chunks[-1]


async def test_malformed_framing_breaks_the_stream(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(stream(EVENT, is_whole=False) + b"zz\r\n")
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert not answer.is_whole
    assert b'"code":"2207"' in answer.chunks[-1]


async def test_a_stalled_stream_breaks_after_the_idle_time(serve: Serve, provider: Provider) -> None:
    edge = await serve("  timeouts: {{idleMs: 100}}")

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        await visit.left()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert not answer.is_whole
    assert b'"code":"2208"' in answer.chunks[-1]
    assert (await edge.row(answer.get("cf-aig-log-id"))).ended == "stalled"


@pytest.mark.parametrize("tail", [b"", b"data: {not json\n\n"], ids=["cut", "malformed"])
async def test_a_broken_stream_in_a_content_coding_is_only_closed(
    edge: RunningEdge, provider: Provider, tail: bytes
) -> None:
    coded = gzip.compress(EVENT * 20 + tail)
    sent = coded if tail else coded[:-12]

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(sent, is_whole=False, headers=b"Content-Encoding: gzip\r\n"))
        if not tail:
            visit.reset()
        await visit.left()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert not answer.is_whole
    assert answer.body == sent


async def test_a_broken_answer_with_a_length_is_short(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        visit.reset()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(CHAT, b"{}"))

    assert not answer.is_whole
    assert answer.body == b"{"
    assert await client.ended() == b""


async def test_a_broken_answer_without_framing_is_a_reset_to_an_http_1_0_client(
    edge: RunningEdge, provider: Provider
) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        visit.reset()

    provider.turn = turn
    client = await edge.connect()
    await client.send(request(CHAT, version=b"1.0"))

    with pytest.raises(ConnectionResetError):
        await client.reader.read(-1)


async def test_a_broken_stream_tells_an_http_1_0_client_in_band(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        visit.reset()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(request(CHAT, method=b"POST", body=STREAM, version=b"1.0"))

    assert answer.body.startswith(EVENT)
    assert b'"code":"2207"' in answer.body


BY_CLOSE = {
    "a finished stream": (b"text/event-stream", EVENT + b"data: [DONE]\n\n", True),
    "a stream without its end": (b"text/event-stream", EVENT, False),
    "a whole document": (b"application/json", b'{"choices":[]}', True),
    "half a document": (b"application/json", b'{"choices":[', False),
    "sound": (b"audio/mpeg", b"\xff\xfb\x90", True),
}


@pytest.mark.parametrize(("content_type", "body", "is_whole"), BY_CLOSE.values(), ids=BY_CLOSE.keys())
async def test_a_body_that_ends_by_closing_is_whole_if_its_own_end_was_seen(
    edge: RunningEdge, provider: Provider, content_type: bytes, body: bytes, is_whole: bool
) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n%b" % (content_type, body))
        visit.writer.write_eof()
        await visit.left()

    provider.turn = turn
    client = await edge.connect()

    answer = await client.ask(post(CHAT, STREAM))

    assert answer.body.startswith(body)
    assert answer.is_whole is is_whole
    assert answer.get("transfer-encoding") == "chunked"


async def test_headers_come_back_in_order_with_case_and_duplicates(edge: RunningEdge, provider: Provider) -> None:
    theirs = [
        ("SERVER", "them"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Retry-After", "7"),
        ("x-ratelimit-remaining-requests", "9"),
        ("Server-Timing", "theirs;dur=1"),
        ("Content-Type", "application/json"),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in theirs)
    hop = "Connection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=1\r\ncf-aig-cache-status: HIT\r\n"
    provider.turn = saying(f"HTTP/1.1 299 Odd Reason\r\n{hop}{lines}Content-Length: 2\r\n\r\n{{}}".encode())
    client = await edge.connect()

    answer = await client.ask(post(CHAT, b"{}"))

    assert answer.line == b"HTTP/1.1 299 Odd Reason"
    assert answer.headers[: len(theirs)] == theirs
    ours = [name.lower() for name, _ in answer.headers[len(theirs) + 1 :]]
    assert all(name.startswith("cf-aig-") or name == "server-timing" for name in ours)
    assert answer.get("cf-aig-cache-status") == "BYPASS"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_bodies_have_none(edge: RunningEdge, provider: Provider, status: int) -> None:
    provider.turn = saying(b"HTTP/1.1 %d X\r\nETag: x\r\n\r\n" % status)
    client = await edge.connect()

    first, second = await client.ask(request(CHAT)), await client.ask(request(CHAT))

    assert (first.status, second.status) == (status, status)
    assert "transfer-encoding" not in first
    assert "content-length" not in first


async def test_an_answer_with_trailing_bytes_touches_nobody_else(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(ok(b"{}") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    client = await edge.connect()

    answers = [await client.ask(request(CHAT)) for _ in range(3)]

    assert [answer.body for answer in answers] == [b"{}"] * 3


async def test_usage_of_a_client_that_left_is_booked(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        await visit.left()

    provider.turn = turn
    client = await edge.connect()
    await client.send(post(CHAT, b'{"model":"m","stream":true,"messages":[{"content":"hello there"}]}'))
    log_id = (await client.head()).get("cf-aig-log-id")
    await client.reader.readuntil(EVENT)

    client.reset()

    row = await edge.row(log_id)
    assert row.ended == "client_gone"
    assert row.usage_source == "estimated"
    assert (row.tokens_out or 0) > 0


async def test_joiners_get_bytes_as_they_come_though_the_filler_does_not_read(serve: Serve, provider: Provider) -> None:
    edge = await serve("  cache: {{ttlS: 300, maxEntryBytes: 67108864}}\n  timeouts: {{idleMs: 30000}}")
    piece = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 100_000)

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(is_whole=False))
        await until(lambda: edge.edge.port.in_flight == 2)
        await asyncio.sleep(0.05)
        for _ in range(150):
            await visit.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await visit.send(b"0\r\n\r\n")

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    filler.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
    await filler.send(post(CHAT, STREAM))
    await until(lambda: len(provider.received) == 1)

    answer = await joiner.ask(post(CHAT, STREAM))

    assert answer.get("cf-aig-cache-status") == "COALESCED"
    assert answer.is_whole
    assert answer.body == piece * 150


async def test_a_fill_goes_on_for_joiners_when_the_filler_vanishes(serve: Serve, provider: Provider) -> None:
    edge = await serve("  cache: {{ttlS: 300}}")
    go_on = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        await go_on.wait()
        await visit.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT))

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    await filler.send(post(CHAT, STREAM))
    await filler.head()
    await joiner.send(post(CHAT, STREAM))
    await joiner.head()

    filler.reset()
    await asyncio.sleep(0.05)
    go_on.set()

    rest = await joiner.reader.readuntil(b"0\r\n\r\n")
    assert rest.count(EVENT) == 2
    assert len(provider.received) == 1


async def test_a_joiner_whose_filler_fails_is_told_in_band(serve: Serve, provider: Provider) -> None:
    edge = await serve("  cache: {{ttlS: 300}}")
    fail = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(EVENT, is_whole=False))
        await fail.wait()
        visit.reset()

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    await filler.send(post(CHAT, STREAM))
    await filler.head()
    await joiner.send(post(CHAT, STREAM))
    await joiner.head()
    fail.set()

    rest = await joiner.ended()

    assert b'"code":"2207"' in rest
    assert not rest.endswith(b"0\r\n\r\n")
