"""Connections: how long they live, how many there are, how they end, and what a slow or vanishing client costs."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.upstream.bounds import PoolBounds
from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge, quick, until
from tests.protocol.port.provider import JSON_OK, Provider, saying, stream
from tests.protocol.port.raw import RawClient, post, request
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
GET = request(CHAT)


async def test_a_connection_carries_many_requests(edge: RunningEdge) -> None:
    client = await edge.connect()

    answers = [await client.ask(GET), await client.ask(post(CHAT, b"{}")), await client.ask(GET)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert all("connection" not in answer for answer in answers)


async def test_pipelined_requests_are_answered_in_order(edge: RunningEdge, provider: Provider) -> None:
    async def echo(visit: Visit, received: Received) -> None:
        await visit.send(ok(received.line.split(b"/")[-2].partition(b" ")[0]))

    provider.turn = echo
    client = await edge.connect()
    await client.send(b"".join(request(f"/v1/local/main/openai/n{number}") for number in range(50)))

    answers = [await client.answer() for _ in range(50)]

    assert [answer.body for answer in answers] == [f"n{number}".encode() for number in range(50)]


async def test_what_is_not_http_behind_a_good_request_does_not_touch_its_answer(
    edge: RunningEdge, provider: Provider
) -> None:
    release = asyncio.Event()

    async def slowly(visit: Visit, received: Received) -> None:
        await release.wait()
        await visit.send(JSON_OK)

    provider.turn = slowly
    client = await edge.connect()
    await client.send(GET)
    await until(lambda: len(provider.received) == 1)
    await client.send(b"\x00nonsense\r\n\r\n")
    await asyncio.sleep(0.05)
    release.set()

    answers = [await client.answer(), await client.answer()]

    assert [answer.status for answer in answers] == [200, 400]
    assert await client.ended() == b""


REFUSALS_THAT_GO_ON = {
    "unknown gateway": (post("/v1/local/nowhere/openai/x", b"{}"), 404),
    "unknown provider": (post("/v1/local/main/nobody/x", b"{}"), 400),
    "no such path": (post("/elsewhere", b"{}"), 404),
    "malformed option": (request(CHAT, b"cf-aig-cache-ttl: 5", method=b"POST", body=b"{}"), 400),
    "provider unreachable": (post("/v1/local/main/groq/x", b"{}"), 502),
    "not built": (post("/v1/local/main/compat/chat/completions", b"{}"), 501),
}


@pytest.mark.parametrize(("content", "status"), REFUSALS_THAT_GO_ON.values(), ids=REFUSALS_THAT_GO_ON.keys())
async def test_a_refusal_does_not_end_the_connection(edge: RunningEdge, content: bytes, status: int) -> None:
    client = await edge.connect()

    refused, served = await client.ask(content), await client.ask(GET)

    assert (refused.status, served.status) == (status, 200)
    assert "connection" not in refused


async def test_a_client_that_asks_for_the_end_gets_it(edge: RunningEdge) -> None:
    client = await edge.connect()

    answer = await client.ask(request(CHAT, b"Connection: close"))

    assert answer.get("connection") == "close"
    assert await client.ended() == b""


async def test_an_http_1_0_client_is_told_what_becomes_of_its_connection(edge: RunningEdge) -> None:
    one, many = await edge.connect(), await edge.connect()
    plain = GET.replace(b"HTTP/1.1", b"HTTP/1.0")

    last = await one.ask(plain)
    kept = await many.ask(plain.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))

    assert (last.get("connection"), kept.get("connection")) == ("close", "keep-alive")
    assert await one.ended() == b""
    assert (await many.ask(plain)).status == 200


async def test_an_http_1_0_client_gets_a_stream_without_chunks(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(stream(b"data: {}\n\n", b"data: [DONE]\n\n"))
    client = await edge.connect()

    answer = await client.ask(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert "transfer-encoding" not in answer
    assert answer.get("connection") == "close"
    assert answer.body == b"data: {}\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("path", ["/v1/local/main/openai/models", "/v1/local/nowhere/openai/models"])
async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(
    edge: RunningEdge, provider: Provider, path: str
) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        is_head = received.line.startswith(b"HEAD")
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if is_head else b"hello"))

    provider.turn = turn
    client = await edge.connect()

    head = await client.ask(request(path, method=b"HEAD"))
    after = await client.ask(GET)

    assert int(head.get("content-length") or 0) > 0
    assert after.body == b"hello"


async def test_connections_over_the_limit_are_told_so(serve: Serve) -> None:
    edge = await serve(connections_max=2)
    first, second = await edge.connect(), await edge.connect()
    await first.ask(GET)
    await second.ask(GET)
    third = await edge.connect()

    refused = await third.ask(GET)
    await first.close()
    await until(lambda: len(edge.edge.port.connections) < 3)
    fourth = await edge.connect()

    assert refused.status == 503
    assert refused.get("cf-aig-error-code") == "2101"
    assert refused.get("retry-after") == "1"
    assert await third.ended() == b""
    assert (await fourth.ask(GET)).status == 200


async def test_beyond_those_who_are_told_connections_are_dropped(serve: Serve) -> None:
    edge = await serve(connections_max=1, port_bounds=quick(refused_connections=1, farewell_s=5.0))
    clients = [await edge.connect() for _ in range(3)]
    await clients[0].ask(GET)

    assert (await clients[1].answer()).status == 503
    assert await clients[2].ended() == b""


async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(keep_alive_s=0.1))
    client = await edge.connect()
    await client.ask(GET)

    assert await client.ended() == b""


async def test_a_client_that_never_closes_is_dropped_after_the_last_answer(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(farewell_s=0.05))
    client = await edge.connect()

    await client.ask(request(CHAT, b"Connection: close"))

    await until(lambda: len(edge.edge.port.connections) == 0, timeout_s=1)


async def test_a_client_that_sends_for_ever_is_dropped_after_the_last_answer(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(farewell_s=0.02, farewell_s_max=0.1))
    client = await edge.connect()
    await client.send(request(CHAT, b"Content-Length: 100000000", method=b"POST"))
    sending = asyncio.create_task(send_for_ever(client))

    assert (await client.answer()).status == 413
    await until(lambda: len(edge.edge.port.connections) == 0, timeout_s=1)
    with pytest.raises(ConnectionError):
        await sending


@pytest.mark.parametrize("end", [RawClient.reset, RawClient.half_close, lambda client: client.writer.close()])
async def test_a_client_that_leaves_cancels_its_request(edge: RunningEdge, provider: Provider, end: object) -> None:
    left = asyncio.Event()

    async def never(visit: Visit, received: Received) -> None:
        await visit.left()
        left.set()

    provider.turn = never
    client = await edge.connect()
    await client.send(GET)
    await until(lambda: len(provider.received) == 1)

    end(client)  # type: ignore[operator]

    async with asyncio.timeout(1):
        await left.wait()
    assert (await edge.last_row()).ended == "client_gone"


async def test_a_client_that_leaves_in_the_middle_of_a_stream_cancels_it(edge: RunningEdge, provider: Provider) -> None:
    left = asyncio.Event()

    async def endless(visit: Visit, received: Received) -> None:
        await visit.send(stream(b"data: {}\n\n", is_whole=False))
        await visit.left()
        left.set()

    provider.turn = endless
    client = await edge.connect()
    await client.send(post(CHAT, b'{"stream":true}'))
    log_id = (await client.head()).get("cf-aig-log-id")

    client.reset()

    async with asyncio.timeout(1):
        await left.wait()
    row = await edge.row(log_id)
    assert (row.ended, row.status_code, row.success) == ("client_gone", 200, False)


async def test_a_client_that_does_not_read_is_dropped_and_the_provider_let_go(serve: Serve, provider: Provider) -> None:
    edge = await serve("  timeouts: {{idleMs: 200}}")
    left = asyncio.Event()

    async def flood(visit: Visit, received: Received) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await visit.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        finally:
            left.set()

    provider.turn = flood
    client = await edge.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can

    await client.send(GET)

    async with asyncio.timeout(5):
        await left.wait()
    assert (await edge.last_row()).ended == "client_gone"
    assert len(edge.edge.port.connections) == 0


async def test_a_whole_answer_that_nobody_reads_is_dropped_too(serve: Serve, provider: Provider) -> None:
    edge = await serve("  timeouts: {{idleMs: 200}}")
    provider.turn = saying(ok(b"x" * 20_000_000))
    client = await edge.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can

    await client.send(GET)

    await until(lambda: edge.edge.port.in_flight == 1)
    await until(lambda: len(edge.edge.port.connections) == 0)
    assert (await edge.last_row()).ended == "client_gone"


async def test_a_slow_reader_gets_everything(edge: RunningEdge, provider: Provider) -> None:
    content = bytes(range(256)) * 20_000
    provider.turn = saying(ok(content))
    client = await edge.connect()
    await client.send(GET)
    head = await client.head()
    read = b""

    while len(read) < len(content):
        read += await client.reader.read(300_000)
        await asyncio.sleep(0.001)

    assert head.get("content-length") == str(len(content))
    assert read == content


async def send_for_ever(client: RawClient) -> None:
    while True:
        await client.send(b"x" * 65_536)
        await asyncio.sleep(0.001)


async def test_a_request_that_finds_no_connection_to_the_provider_is_503_at_once(
    serve: Serve, provider: Provider
) -> None:
    release = asyncio.Event()

    async def slowly(visit: Visit, received: Received) -> None:
        await release.wait()
        await visit.send(JSON_OK)

    provider.turn = slowly
    edge = await serve(pool_bounds=PoolBounds(connections_max=1, waiting_max=0))
    first, second = await edge.connect(), await edge.connect()
    await first.send(GET)
    await until(lambda: len(provider.received) == 1)

    refused = await second.ask(GET)
    release.set()
    served = await first.answer()

    assert (refused.status, served.status) == (503, 200)
    assert "retry-after" in refused
