"""Providers that refuse everybody for a while, and what that must not cost: connections, and their place in a plan."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.provider import JSON_OK, Provider
from tests.protocol.port.raw import post
from tests.protocol.upstream.scripted import Received, Visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\nRetry-After: 60\r\n\r\n",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
)
REQUESTS = 20


async def busy_beneath_v1(visit: Visit, request: Received) -> None:
    """Refuses what comes to the first step's path."""
    await visit.send(*(BUSY if b" /v1/" in request.line else (JSON_OK,)))


def steps(*names: str, **config: object) -> bytes:
    plan = [{"provider": name, "endpoint": "chat", "query": {}, "config": config} for name in names]
    return post("/v1/local/main", json.dumps(plan).encode())


@pytest.mark.parametrize(
    "asked", [steps("openai", "anthropic"), steps("openai", "anthropic", maxAttempts=2, retryDelay=5)]
)
async def test_refusals_that_fall_back_keep_their_connections(
    edge: RunningEdge, provider: Provider, asked: bytes
) -> None:
    provider.turn = busy_beneath_v1
    client, visits_before = await edge.connect(), provider.server.visits

    answers = []
    for _ in range(REQUESTS):
        answers.append(await client.ask(asked))
        await asyncio.sleep(0.005)

    assert {(answer.status, answer.get("cf-aig-step")) for answer in answers} == {(200, "1")}
    assert provider.server.visits - visits_before <= 3


async def test_refusals_eject_nobody(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = busy_beneath_v1
    client = await edge.connect()

    for _ in range(REQUESTS):
        await client.ask(steps("openai", "anthropic"))
    await asyncio.sleep(0.2)
    await client.ask(steps("openai", "anthropic"))

    assert [b" /v1/" in request.line for request in provider.received] == [True, False] * (REQUESTS + 1)
