"""Each knob of the simulator, seen on the socket."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.protocol.simulator.conftest import RawClient

CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "one two three"}]}
STREAM = {**CHAT, "stream": True}


async def test_a_status_comes_with_the_dialects_own_error_body(client: RawClient) -> None:
    chat = await client.call("/v1/chat/completions", CHAT, status=503)
    message = await client.call("/v1/messages", CHAT, status=529)
    generation = await client.call("/models/simulator-small", {"inputs": "x"}, status=500)

    assert (chat.status, chat.json["error"]["code"]) == (503, "503")
    assert (message.status, message.json["type"], message.json["error"]["type"]) == (529, "error", "overloaded_error")
    assert (generation.status, generation.json["error_type"]) == (500, "simulated")


async def test_a_status_may_hold_only_for_the_first_calls_of_a_session(client: RawClient) -> None:
    knobs = {"status": "503;times=2", "session": "retry"}

    statuses = [(await client.call("/v1/chat/completions", CHAT, **knobs)).status for _ in range(4)]
    other = await client.call("/v1/chat/completions", CHAT, status="503;times=2", session="other")

    assert statuses == [503, 503, 200, 200]
    assert other.status == 503


async def test_retry_after_is_added_to_an_error_only(client: RawClient) -> None:
    error = await client.call("/v1/chat/completions", CHAT, status=429, retry_after=2)
    fine = await client.call("/v1/chat/completions", CHAT, retry_after=2)

    assert error.headers["retry-after"] == "2"
    assert "retry-after" not in fine.headers


async def test_latency_is_the_time_to_the_first_byte(client: RawClient) -> None:
    began = time.monotonic()

    await client.call("/v1/chat/completions", CHAT, latency_ms=120)

    assert 0.12 <= time.monotonic() - began < 1


async def test_chunks_are_events_and_words_are_tokens(client: RawClient) -> None:
    body = {**STREAM, "stream_options": {"include_usage": True}}

    reply = await client.call("/v1/chat/completions", body, chunks=5, words=20)

    *chunks, usage, done = reply.events
    texts = [json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks]
    assert done == "[DONE]"
    assert len(texts) == 5
    assert len("".join(texts).split()) == 20
    assert json.loads(usage)["usage"]["completion_tokens"] == 20


async def test_every_event_is_a_chunk_of_its_own_with_a_pause_before_the_next(client: RawClient) -> None:
    began = time.monotonic()

    reply = await client.call("/v1/chat/completions", STREAM, chunks=4, chunk_delay_ms=30)

    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in reply.chunks)
    assert len(reply.chunks) == 5
    assert time.monotonic() - began >= 4 * 0.03


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_a_stream_is_cut_after_that_many_events(client: RawClient, events: int) -> None:
    reply = await client.call("/v1/chat/completions", STREAM, cut_after=events)

    assert reply.status == 200
    assert len(reply.events) == events
    assert reply.is_closed
    assert not reply.is_whole


async def test_a_body_is_cut_after_that_many_bytes(client: RawClient) -> None:
    reply = await client.call("/v1/chat/completions", CHAT, cut_after="3b")

    assert reply.body == b'{"i'
    assert int(reply.headers["content-length"]) > 3
    assert reply.is_closed


async def test_a_cut_beyond_the_end_changes_nothing(client: RawClient) -> None:
    stream = await client.call("/v1/chat/completions", STREAM, cut_after=1000)
    whole = await client.call("/v1/chat/completions", CHAT, cut_after="1000000b")

    assert stream.is_whole
    assert whole.is_whole


async def test_a_stalled_answer_keeps_the_connection_and_sends_nothing_more(client: RawClient) -> None:
    stream = await client.call("/v1/chat/completions", STREAM, stall_after=2, silence_s=0.3)
    whole = await client.call("/v1/chat/completions", CHAT, stall_after="4b", silence_s=0.3)

    assert (len(stream.events), stream.is_closed, stream.is_whole) == (2, False, False)
    assert (whole.body, whole.is_closed) == (b'{"id', False)


async def test_a_malformed_event_is_one_of_a_stream_that_goes_on(client: RawClient) -> None:
    reply = await client.call("/v1/chat/completions", STREAM, chunks=5, malformed_after=3)

    assert len(reply.events) == 7
    assert reply.is_whole
    for index, event in enumerate(reply.events[:-1]):
        if index == 3:
            with pytest.raises(ValueError, match="Expecting"):
                json.loads(event)
        else:
            json.loads(event)


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("status", "abc"),
        ("status", "99"),
        ("status", "600"),
        ("status", "503;times=x"),
        ("latency_ms", "-1"),
        ("latency_ms", "1.5"),
        ("latency_ms", "99999999"),
        ("chunks", "0"),
        ("chunks", "many"),
        ("chunk_delay_ms", ""),
        ("words", "0x10"),
        ("retry_after", "soon"),
        ("cut_after", "b"),
        ("cut_after", "3kb"),
        ("stall_after", "-3"),
        ("malformed_after", "3b"),
        ("session", "s" * 257),
        ("cut_afterr", "3"),
    ],
)
async def test_a_malformed_knob_is_refused_by_name(client: RawClient, knob: str, value: str) -> None:
    reply = await client.call("/v1/chat/completions", CHAT, **{knob: value})

    assert reply.status == 400
    assert f"x-simulator-{knob.replace('_', '-')}" in reply.json["error"]["message"]


async def test_the_journal_tells_what_arrived(client: RawClient) -> None:
    await client.call("/v1/chat/completions?x=1", CHAT, session="a")
    await client.call("/v1/messages", {**CHAT, "max_tokens": 5}, session="a")
    await client.call("/v1/messages", CHAT, session="b")

    journal = await client.calls("a")

    first, second = journal["calls"]
    assert journal["count"] == 2
    assert (first["method"], first["path"], json.loads(first["body"])) == ("POST", "/v1/chat/completions?x=1", CHAT)
    assert ["x-simulator-session", "a"] in first["headers"]
    assert first["ended"] == second["ended"] == "done"
    assert first["arrived_at_s"] <= first["ended_at_s"] <= second["arrived_at_s"]


@pytest.mark.parametrize(
    ("body", "knobs"),
    [
        (STREAM, {"stall_after": 1}),
        (STREAM, {"chunks": 50, "chunk_delay_ms": 50}),
        (CHAT, {"latency_ms": 5_000}),
    ],
)
async def test_the_journal_tells_when_the_client_left(client: RawClient, body: Any, knobs: dict[str, object]) -> None:
    _, writer = await client.open("/v1/chat/completions", body, session="gone", **knobs)
    await asyncio.sleep(0.1)
    left_at_s = time.time()
    writer.transport.abort()

    call = await _ended_call(client, "gone")

    assert call["ended"] == "client_gone"
    assert 0 <= call["ended_at_s"] - left_at_s < 0.5


async def test_the_journal_tells_a_cut(client: RawClient) -> None:
    await client.call("/v1/chat/completions", STREAM, session="cut", cut_after=1)

    assert (await _ended_call(client, "cut"))["ended"] == "cut"


async def test_a_session_nobody_used_is_empty(client: RawClient) -> None:
    assert await client.calls("none") == {"session": "none", "count": 0, "calls": []}


async def _ended_call(client: RawClient, session: str) -> dict[str, Any]:
    async with asyncio.timeout(3):
        while True:
            call: dict[str, Any] = (await client.calls(session))["calls"][0]
            if call["ended"] is not None:
                return call
            await asyncio.sleep(0.01)
