"""Shared answers: identical requests at one edge, whose answer is large, late, refused or purged while it comes."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.protocol.port.conftest import Serve, gateway_document
from tests.protocol.port.edges import RunningEdge, until
from tests.protocol.port.provider import JSON_OK, Provider, stream
from tests.protocol.port.raw import post
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
STREAM = b'{"model":"m","stream":true}'
CACHED = "  cache: {{ttlS: 300}}\n"


def chunk(content: bytes) -> bytes:
    """One event, as HTTP frames it."""
    event = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % content
    return b"%x\r\n%b\r\n" % (len(event), event)


async def test_a_joiner_that_reads_slowly_gets_all_of_an_answer_too_large_to_keep(
    serve: Serve, provider: Provider
) -> None:
    edge = await serve("  cache: {{ttlS: 300}}\n  timeouts: {{idleMs: 30000}}")
    piece, said = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 100_000), asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        await until(lambda: edge.edge.port.in_flight == 2)
        await asyncio.sleep(0.05)
        await visit.send(stream(*[piece] * 120))
        said.set()

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    filling = asyncio.create_task(filler.ask(post(CHAT, STREAM)))
    await until(lambda: len(provider.received) == 1)
    await joiner.send(post(CHAT, STREAM))
    joiner.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
    await said.wait()
    await filling
    joiner.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
    answer = await joiner.answer()

    assert answer.get("cf-aig-cache-status") == "COALESCED"
    assert answer.is_whole
    assert answer.body == piece * 120


async def test_an_answer_too_long_to_follow_is_fetched_for_each(serve: Serve, provider: Provider) -> None:
    edge = await serve("  cache: {{ttlS: 300}}\n  timeouts: {{idleMs: 30000}}")
    body = bytes(17 * 1024 * 1024)

    async def turn(visit: Visit, received: Received) -> None:
        await until(lambda: edge.edge.port.in_flight == 2)
        await visit.send(ok(body))

    provider.turn = turn
    clients = [await edge.connect(), await edge.connect()]

    answers = await asyncio.gather(*[client.ask(post(CHAT, STREAM)) for client in clients])

    assert [answer.get("cf-aig-cache-status") for answer in answers] == ["MISS", "MISS"]
    assert all(answer.body == body for answer in answers)


async def test_a_purge_during_a_fill_parts_what_comes_before_and_after_it(serve: Serve, provider: Provider) -> None:
    edge, go_on = await serve(CACHED), asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        number = b"%d" % len(provider.received)
        await visit.send(stream(is_whole=False), chunk(number))
        if number == b"1":
            await go_on.wait()
        await visit.send(chunk(number) + b"0\r\n\r\n")

    provider.turn = turn
    clients = [await edge.connect() for _ in range(4)]
    early = [asyncio.create_task(client.ask(post(CHAT, STREAM))) for client in clients[:2]]
    await until(lambda: edge.edge.port.in_flight == 2)
    await asyncio.sleep(0.05)

    await edge.change(gateway_document("main", CACHED + "  cacheEpoch: 1", provider))
    after = await clients[2].ask(post(CHAT, STREAM))
    go_on.set()
    before = [await each for each in early]
    later = [await client.ask(post(CHAT, STREAM)) for client in clients]

    assert [answer.body.count(b'"1"') for answer in before] == [2, 2]
    assert sorted(str(answer.get("cf-aig-cache-status")) for answer in before) == ["COALESCED", "MISS"]
    assert (after.get("cf-aig-cache-status"), after.body.count(b'"2"')) == ("MISS", 2)
    assert [answer.get("cf-aig-cache-status") for answer in later] == ["HIT"] * 4
    assert {answer.body for answer in later} == {after.body}


async def test_an_answer_that_may_not_be_kept_is_handed_over_once(serve: Serve, provider: Provider) -> None:
    edge = await serve(CACHED)

    async def turn(visit: Visit, received: Received) -> None:
        is_first = len(provider.received) == 1
        await until(lambda: edge.edge.port.in_flight == 5 or not is_first)
        await asyncio.sleep(0.05)
        await visit.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}" if is_first else JSON_OK)

    provider.turn = turn
    clients = [await edge.connect() for _ in range(5)]

    answers = await asyncio.gather(*[client.ask(post(CHAT, STREAM)) for client in clients])

    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 500]
    assert len(provider.received) == 2


LATE = b"cf-aig-request-timeout: 200"


async def late(edge: RunningEdge, provider: Provider, *headers: bytes) -> tuple[int, bytes, list[int]]:
    """What a joiner gets that is in more of a hurry than the filler; and the calls, once the filler was answered."""
    go_on = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        if len(provider.received) == 1:
            await go_on.wait()
        await visit.send(JSON_OK)

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    filling = asyncio.create_task(filler.ask(post(CHAT, STREAM)))
    await until(lambda: len(provider.received) == 1)
    answer = await joiner.ask(post(CHAT, STREAM, LATE, *headers))
    go_on.set()
    row = await edge.row(answer.get("cf-aig-log-id"))
    return answer.status, answer.body, [(await filling).status, len(provider.received), row.attempts]


async def test_a_joiner_in_a_hurry_waits_no_longer_than_it_would_for_a_provider(
    serve: Serve, provider: Provider
) -> None:
    edge = await serve(CACHED)

    status, _, others = await late(edge, provider)

    assert status == 504
    assert others == [200, 1, 0]


async def test_a_joiner_in_a_hurry_that_may_try_again_does(serve: Serve, provider: Provider) -> None:
    edge = await serve(CACHED)

    status, body, others = await late(edge, provider, b"cf-aig-max-attempts: 2")

    assert (status, body) == (200, b'{"ok":1}')
    assert others == [200, 2, 1]


async def test_a_joiner_in_a_hurry_falls_over_to_the_next_step(serve: Serve, provider: Provider) -> None:
    edge, go_on = await serve(CACHED), asyncio.Event()
    query = {"model": "m", "messages": []}
    steps = [
        {"provider": "openai", "endpoint": "chat/completions", "query": query, "config": {"requestTimeout": 200}},
        {"provider": "anthropic", "endpoint": "v1/messages", "query": query},
    ]
    patient = [{**steps[0], "config": {}}]

    async def turn(visit: Visit, received: Received) -> None:
        if b"/v1/messages" not in received.head:
            await go_on.wait()
        await visit.send(JSON_OK)

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    filling = asyncio.create_task(filler.ask(post("/v1/local/main", json.dumps(patient).encode())))
    await until(lambda: len(provider.received) == 1)

    answer = await joiner.ask(post("/v1/local/main", json.dumps(steps).encode()))
    go_on.set()
    await filling

    assert (answer.status, answer.get("cf-aig-step")) == (200, "1")
    assert len(provider.received) == 2


async def test_a_filler_that_falls_over_to_another_step_hands_over_at_once(serve: Serve, provider: Provider) -> None:
    edge, go_on = await serve(CACHED), asyncio.Event()
    query = {"model": "m", "messages": []}
    steps = [
        {"provider": "openai", "endpoint": "chat/completions", "query": query},
        {"provider": "anthropic", "endpoint": "v1/messages", "query": query},
    ]

    async def turn(visit: Visit, received: Received) -> None:
        if len(provider.received) == 1:
            await until(lambda: edge.edge.port.in_flight == 2)
            await asyncio.sleep(0.05)
            await visit.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}")
        elif b"/v1/messages" in received.head:
            await go_on.wait()
        await visit.send(JSON_OK)

    provider.turn = turn
    filler, joiner = await edge.connect(), await edge.connect()
    filling = asyncio.create_task(filler.ask(post("/v1/local/main", json.dumps(steps).encode())))
    await until(lambda: len(provider.received) == 1)

    async with asyncio.timeout(1):
        answer = await joiner.ask(post("/v1/local/main", json.dumps(steps[:1]).encode()))
    go_on.set()

    assert (answer.status, answer.get("cf-aig-step")) == (200, "0")
    assert (await filling).get("cf-aig-step") == "1"
