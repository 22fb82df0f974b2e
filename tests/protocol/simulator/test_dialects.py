"""What the simulator answers, path by path, and that it always answers the same."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from tests.protocol.simulator.conftest import RawClient

CHAT = {"model": "simulator-large", "messages": [{"role": "user", "content": "one two three"}]}
REQUESTS: list[tuple[str, Any]] = [
    ("chat/completions", CHAT),
    ("chat/completions", {**CHAT, "stream": True}),
    ("completions", {"model": "simulator-small", "prompt": "one two"}),
    ("completions", {"model": "simulator-small", "prompt": "one two", "stream": True}),
    ("responses", {"model": "simulator-small", "input": "one two"}),
    ("responses", {"model": "simulator-small", "input": "one two", "stream": True}),
    ("embeddings", {"model": "simulator-small", "input": ["a", "b"]}),
    ("messages", {**CHAT, "max_tokens": 100}),
    ("messages", {**CHAT, "max_tokens": 100, "stream": True}),
    ("models/simulator-small", {"inputs": "one two"}),
    ("models/simulator-small", {"inputs": "one two", "stream": True}),
]


@pytest.mark.parametrize(("path", "body"), REQUESTS)
async def test_the_same_request_gets_the_same_bytes_with_and_without_the_version(
    client: RawClient, path: str, body: Any
) -> None:
    replies = [await client.call(prefix + path, body) for prefix in ("/v1/", "/", "/v1/")]
    other = await client.call("/v1/" + path, {**body, "user": "somebody else"})

    assert [reply.status for reply in replies] == [200] * 3
    assert replies[0].body == replies[1].body == replies[2].body
    assert other.body != replies[0].body or "embeddings" in path


async def test_a_chat_completion_counts_words(client: RawClient) -> None:
    reply = (await client.call("/v1/chat/completions", CHAT, words=7)).json

    assert reply["model"] == "simulator-large"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert len(reply["choices"][0]["message"]["content"].split()) == 7
    assert (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]) == (3, 7)


async def test_the_clients_bound_cuts_the_text_unless_words_are_asked_for(client: RawClient) -> None:
    bounded = (await client.call("/v1/chat/completions", {**CHAT, "max_tokens": 4})).json
    asked = (await client.call("/v1/chat/completions", {**CHAT, "max_tokens": 4}, words=9)).json

    assert (bounded["usage"]["completion_tokens"], bounded["choices"][0]["finish_reason"]) == (4, "length")
    assert (asked["usage"]["completion_tokens"], asked["choices"][0]["finish_reason"]) == (9, "stop")


async def test_a_stream_reports_usage_only_when_asked(client: RawClient) -> None:
    silent = await client.call("/v1/chat/completions", {**CHAT, "stream": True})
    asked = await client.call(
        "/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    )

    assert b'"usage"' not in silent.body
    assert json.loads(asked.events[-2])["usage"]["total_tokens"] == 15
    assert all(json.loads(event)["usage"] is None for event in asked.events[:-2])


async def test_a_stream_brings_the_text_of_the_whole_answer(client: RawClient) -> None:
    whole = (await client.call("/v1/completions", {"prompt": "x", "n": 1}, words=8)).json
    stream = await client.call("/v1/completions", {"prompt": "x", "stream": True}, words=8)

    texts = [json.loads(event)["choices"][0]["text"] for event in stream.events[:-1]]
    assert len("".join(texts).split()) == len(whole["choices"][0]["text"].split()) == 8


async def test_more_chunks_than_words_split_by_characters(client: RawClient) -> None:
    reply = await client.call("/v1/chat/completions", {**CHAT, "stream": True}, words=1, chunks=3)

    texts = [json.loads(event)["choices"][0]["delta"]["content"] for event in reply.events[:-1]]
    assert len(texts) == 3
    assert all(texts)


async def test_a_message_stream_is_built_block_by_block(client: RawClient) -> None:
    reply = await client.call("/v1/messages", {**CHAT, "max_tokens": 50, "stream": True}, chunks=2, words=4)

    events = [json.loads(event) for event in reply.events]
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["usage"]["input_tokens"] == 3
    assert events[5]["usage"]["output_tokens"] == 4
    assert reply.body.startswith(b"event: message_start\ndata: ")


async def test_tokens_of_a_message_can_be_counted(client: RawClient) -> None:
    reply = await client.call("/v1/messages/count_tokens", CHAT)

    assert reply.json == {"input_tokens": 3}


async def test_a_response_stream_ends_with_the_whole_response(client: RawClient) -> None:
    body = {"model": "simulator-small", "input": "one two", "stream": True}

    reply = await client.call("/v1/responses", body, chunks=3, words=3)

    events = [json.loads(event) for event in reply.events]
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    last = events[-1]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert len(deltas) == 3
    assert last["type"] == "response.completed"
    assert last["response"]["output"][0]["content"][0]["text"] == "".join(deltas)
    assert last["response"]["usage"]["output_tokens"] == 3


async def test_text_generation_answers_a_list_or_token_events(client: RawClient) -> None:
    whole = await client.call("/models/simulator-small", {"inputs": "a b", "parameters": {"details": True}}, words=5)
    stream = await client.call("/v1/models/simulator-small", {"inputs": "a b", "stream": True}, words=5)

    last = json.loads(stream.events[-1])
    assert whole.json[0]["details"]["generated_tokens"] == 5
    assert whole.headers["x-generated-tokens"] == "5"
    assert len(stream.events) == 5
    assert (last["details"]["generated_tokens"], last["details"]["input_length"]) == (5, 2)
    assert json.loads(stream.events[0])["generated_text"] is None


async def test_embeddings_are_unit_vectors_as_numbers_or_packed(client: RawClient) -> None:
    plain = (await client.call("/v1/embeddings", {"input": "hello", "dimensions": 8})).json
    packed = (
        await client.call("/v1/embeddings", {"input": "hello", "dimensions": 8, "encoding_format": "base64"})
    ).json

    vector = plain["data"][0]["embedding"]
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-6)
    assert struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"])) == pytest.approx(vector, abs=1e-6)
    assert plain["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


async def test_models_are_listed(client: RawClient) -> None:
    listed = (await client.call("/v1/models")).json
    one = await client.call("/models/simulator-small")
    none = await client.call("/v1/models/other")

    assert [model["id"] for model in listed["data"]] == ["simulator-small", "simulator-large"]
    assert one.json["id"] == "simulator-small"
    assert none.status == 404


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", b"not json"), ("/v1/chat/completions", b"[1]")])
async def test_a_body_that_is_no_object_is_refused(client: RawClient, path: str, body: bytes) -> None:
    reply = await client.call(path, body)

    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")


async def test_a_path_nobody_knows_is_not_found(client: RawClient) -> None:
    assert (await client.call("/v1/nothing", {})).status == 404
    assert (await client.call("/v1/chat/completions", {}, method="DELETE")).status == 404
    assert (await client.call("/v1/messages/batches", {})).json["type"] == "error"


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(client: RawClient) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: s\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    reader, writer = await client.connect()
    writer.write(head)

    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"{}")
    final = await reader.readuntil(b"\r\n")
    writer.close()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert final == b"HTTP/1.1 200 OK\r\n"
