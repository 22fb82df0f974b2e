"""
Unread answers: who asks on and on and reads nothing is soon not asked for any more, and loses nothing by reading late.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.protocol.port.conftest import Serve
from tests.protocol.port.provider import Provider
from tests.protocol.port.raw import RawClient, request
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b"x" * 32_768
"""Small enough to be passed on whole, without waiting for who reads it."""
ASKED = 800
BUFFERED_MAX = 400
"""Answers that two kernels and the edge hold for a client that reads none."""


async def whole(visit: Visit, received: Received) -> None:
    await visit.send(ok(BODY))


async def ask_and_read_nothing(client: RawClient) -> None:
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
    client.writer.write(request("/v1/local/main/openai/models") * ASKED)


async def settled(provider: Provider) -> int:
    """Requests that the provider has, once no more come."""
    count = -1
    while count != len(provider.received):
        count = len(provider.received)
        await asyncio.sleep(0.2)
    return count


async def test_a_client_that_reads_late_gets_every_answer_then(serve: Serve, provider: Provider) -> None:
    provider.turn = whole
    edge = await serve()
    client = await edge.connect()

    await ask_and_read_nothing(client)
    asked_meanwhile = await settled(provider)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
    answers = [await client.answer() for _ in range(ASKED)]

    assert 0 < asked_meanwhile < BUFFERED_MAX
    assert {(answer.status, len(answer.body)) for answer in answers} == {(200, len(BODY))}
