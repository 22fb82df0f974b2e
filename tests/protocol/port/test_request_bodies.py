"""Request bodies: when they are asked for, how they pass, and what happens when they are too much or not there."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.kit.names import MetricName
from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge, quick, until
from tests.protocol.port.provider import JSON_OK, Provider, header_of
from tests.protocol.port.raw import post, request
from tests.protocol.upstream.scripted import Visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
LARGE = 200_000
"""Beyond what is held for its own sake."""


def expecting(body_bytes: int, *headers: bytes, target: str = CHAT) -> bytes:
    """The head of an upload that waits for leave to send."""
    return request(target, b"Expect: 100-continue", b"Content-Length: %d" % body_bytes, *headers, method=b"POST")


@pytest.mark.parametrize("size", [10, LARGE])
async def test_leave_to_send_is_given_when_the_body_is_wanted(edge: RunningEdge, provider: Provider, size: int) -> None:
    client = await edge.connect()
    await client.send(expecting(size))
    leave = await client.head()

    answer = await client.ask(b"x" * size)

    assert leave.line == b"HTTP/1.1 100 Continue"
    assert answer.status == 200
    assert provider.last.body == b"x" * size


REFUSED = {
    "unknown gateway": (expecting(LARGE, target="/v1/local/nowhere/openai/x"), 404),
    "unknown provider": (expecting(LARGE, target="/v1/local/main/nobody/x"), 400),
    "malformed option": (expecting(LARGE, b"cf-aig-max-attempts: many"), 400),
    "too large": (expecting(10_000_000), 413),
    "not built": (expecting(LARGE, target="/v1/local/main/compat/chat/completions"), 501),
    "other method": (expecting(LARGE, target="/v1/local/main").replace(b"POST", b"PUT", 1), 400),
}


@pytest.mark.parametrize(("content", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_request_gets_no_leave_to_send(edge: RunningEdge, content: bytes, status: int) -> None:
    client = await edge.connect()
    await client.send(content)

    first = await client.head()

    assert first.status == status
    assert first.get("connection") == "close"


async def test_http_1_0_gets_no_interim_answer(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    await client.send(expecting(2).replace(b"HTTP/1.1", b"HTTP/1.0"))
    await client.send(b"{}")

    first = await client.head()

    assert first.status == 200
    assert provider.last.body == b"{}"


async def test_a_declared_length_over_the_limit_is_413_before_the_body_is_read(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()
    await client.send(request(CHAT, b"Content-Length: 1048577", method=b"POST"))

    answer = await client.answer()

    assert answer.status == 413
    assert answer.get("cf-aig-error-code") == "2006"
    assert provider.received == []


@pytest.mark.parametrize("spec", ["", "  retries: {{maxAttempts: 2}}"], ids=["streamed", "held"])
async def test_a_chunked_body_is_counted(serve: Serve, provider: Provider, spec: str) -> None:
    edge = await serve(spec)
    client = await edge.connect()
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = request(CHAT, b"Transfer-Encoding: chunked", method=b"POST")

    answer = await client.ask(head + chunk * 20)

    assert answer.status == 413
    assert all(len(each.body) < 20 * 0x10000 for each in provider.received)
    assert await client.ended() == b""


async def test_an_upload_of_the_limit_passes(serve: Serve, provider: Provider) -> None:
    edge = await serve(body_bytes_max=LARGE)
    client = await edge.connect()

    answer = await client.ask(post(CHAT, b"x" * LARGE))

    assert answer.status == 200
    assert provider.last.body == b"x" * LARGE


async def test_a_refusal_can_be_read_by_a_client_that_sends_on(edge: RunningEdge) -> None:
    client = await edge.connect()
    head = request("/v1/local/nowhere/openai/x", b"Content-Length: 100000000", method=b"POST")
    await client.send(head)
    sending = asyncio.create_task(client.send(b"x" * 8_000_000))

    answer = await client.answer()

    assert answer.status == 404
    assert answer.is_whole
    await sending


@pytest.mark.parametrize("size", [1000, LARGE], ids=["held", "streamed"])
async def test_a_body_that_makes_no_progress_is_408(serve: Serve, size: int) -> None:
    edge = await serve(port_bounds=quick(body_progress_s=0.1))
    client = await edge.connect()
    await client.send(request(CHAT, b"Content-Length: %d" % size, method=b"POST") + b"x" * (size - 1))

    answer = await client.answer()

    assert answer.status == 408
    assert answer.get("cf-aig-error-code") == "2005"
    assert "openai" not in (answer.get("cf-aig-provider") or "")


@pytest.mark.parametrize("spec", ["", "  retries: {{maxAttempts: 2}}"], ids=["streamed", "held"])
async def test_a_body_that_breaks_its_framing_is_400_at_once(serve: Serve, spec: str) -> None:
    edge = await serve(spec)
    client = await edge.connect()
    await client.send(request(CHAT, b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nabc\r\n")
    await until(lambda: edge.edge.port.in_flight == 1)

    answer = await client.ask(b"zz\r\n")

    assert answer.status == 400
    assert answer.json()["error"]["code"] == "2004"
    assert await client.ended() == b""


async def test_a_streamed_upload_is_cancelled_at_the_provider_when_the_client_leaves(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()
    begun, left = asyncio.Event(), asyncio.Event()

    async def early(visit: Visit) -> None:
        await visit.reader.readexactly(1000)
        begun.set()
        await visit.left()
        left.set()

    provider.early = early
    await client.send(request(CHAT, b"Content-Length: %d" % LARGE, method=b"POST") + b"x" * 1000)
    await begun.wait()

    client.reset()

    async with asyncio.timeout(1):
        await left.wait()
    assert (await edge.last_row()).ended == "client_gone"


async def test_an_early_answer_to_an_upload_reaches_the_client(edge: RunningEdge, provider: Provider) -> None:
    async def early(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
        await visit.left()

    provider.early = early
    client = await edge.connect()
    await client.send(request(CHAT, b"Content-Length: 900000", method=b"POST") + b"x" * 1000)

    answer = await client.answer()

    assert answer.status == 401
    assert "cf-aig-error-code" not in answer
    assert answer.get("connection") == "close"
    assert await client.ended() == b""


async def test_held_bodies_share_a_budget_and_give_it_back(serve: Serve, provider: Provider) -> None:
    edge = await serve("  retries: {{maxAttempts: 2}}", body_memory_bytes=150_000)
    release = asyncio.Event()

    async def turn(visit: Visit, received: object) -> None:
        await release.wait()
        await visit.send(JSON_OK)

    provider.turn = turn
    first, second, third = [await edge.connect() for _ in range(3)]
    await first.send(post(CHAT, b"x" * 100_000))
    await until(lambda: len(provider.received) == 1)

    shed = await second.ask(post(CHAT, b"x" * 100_000))
    release.set()
    served = await first.answer()
    later = await third.ask(post(CHAT, b"x" * 100_000))

    assert (shed.status, served.status, later.status) == (503, 200, 200)
    assert int(shed.get("retry-after") or 0) >= 1
    assert shed.get("cf-aig-error-code") == "2101"
    await edge.quiet()
    assert held_bytes(edge) == 0


async def test_bodies_on_their_way_do_not_keep_out_those_that_are_here(serve: Serve, provider: Provider) -> None:
    edge = await serve("  retries: {{maxAttempts: 2}}", body_memory_bytes=400_000)
    slow, late, quick_one = [await edge.connect() for _ in range(3)]
    await slow.send(post(CHAT, b"x" * 900_000)[:370_000])
    await until(lambda: held_bytes(edge) > 350_000)

    shed = await late.ask(post(CHAT, b"x" * 300_000))
    served = await quick_one.ask(post(CHAT, b"{}"))

    assert (shed.status, served.status) == (503, 200)


GIVES_BACK = {
    "answered": post(CHAT, b'{"model":"m"}'),
    "no such step": post("/v1/local/main", b'[{"provider":"nobody","endpoint":"x","query":{}}]'),
    "malformed steps": post("/v1/local/main", b"[" + b" " * 70_000),
    "dot segment": post("/v1/local/main/openai/a/../b", b"{}"),
    "over the limit": post(CHAT, b"x" * 1_048_577),
    "provider unreachable": post("/v1/local/main/groq/x", b"{}"),
}


@pytest.mark.parametrize("content", GIVES_BACK.values(), ids=GIVES_BACK.keys())
async def test_every_end_gives_the_memory_back(serve: Serve, content: bytes) -> None:
    edge = await serve("  retries: {{maxAttempts: 2, delayMs: 1}}")
    client = await edge.connect()

    await client.ask(content)
    await edge.quiet()

    assert held_bytes(edge) == 0


@pytest.mark.parametrize("sent", [1000, 100_000], ids=["in the middle of the body", "while the provider thinks"])
async def test_a_client_that_leaves_gives_the_memory_back(serve: Serve, provider: Provider, sent: int) -> None:
    edge = await serve("  retries: {{maxAttempts: 2}}")

    async def turn(visit: Visit, received: object) -> None:
        await visit.left()

    provider.turn = turn
    client = await edge.connect()
    await client.send(request(CHAT, b"Content-Length: 100000", method=b"POST") + b"x" * sent)
    await until(lambda: held_bytes(edge) == sent)

    client.reset()
    await edge.quiet()

    assert held_bytes(edge) == 0


async def test_a_body_of_any_framing_has_its_length_at_the_provider(serve: Serve, provider: Provider) -> None:
    edge = await serve("  retries: {{maxAttempts: 2}}")
    client = await edge.connect()
    body = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n"

    await client.ask(request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=body))

    assert provider.last.body == b"hello world"
    assert header_of(provider.last, "content-length") == ["11"]
    assert header_of(provider.last, "transfer-encoding") == []


async def test_the_model_of_a_streamed_body_is_known_from_its_beginning(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    body = json.dumps({"model": "gpt-large", "stream": False, "messages": [{"content": "x" * LARGE}]}).encode()

    answer = await client.ask(post(CHAT, body))

    assert answer.get("cf-aig-model") == "gpt-large"
    assert provider.last.body == body


def held_bytes(edge: RunningEdge) -> int:
    """The metric of held bodies."""
    name = MetricName.BODY_MEMORY.name
    lines = edge.metrics.render().decode().splitlines()
    return round(float(next(line for line in lines if line.startswith(name)).split()[-1]))
