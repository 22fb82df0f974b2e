"""
Shapes: answers as each provider really sends them, field by field and in its order, with content of our own.

What a provider counts is an argument, so that a test chooses numbers that tell every slot from the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.fakes.providers.server import Canned, document, events, stream

PIECES = ("The strait", " is narrow", ", the current", " strong;", " keep to", " the middle.")
TEXT = "".join(PIECES)
CREATED = 1_780_000_000


def chat(*, usage: dict[str, Any], model: str = "gpt-5-mini-2025-08-07", **more: Any) -> Canned:
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "chatcmpl-C1", "object": "chat.completion", "created": CREATED, "model": model}
    return document({**head, "choices": [choice], "usage": usage, "service_tier": "default", **more})


def chat_stream(
    *,
    usage: dict[str, Any] | None = None,
    model: str = "gpt-5-mini-2025-08-07",
    deltas: Iterable[dict[str, Any]] = tuple({"content": piece} for piece in PIECES),
    last: dict[str, Any] | None = None,
) -> Canned:
    """`usage` comes in a chunk of its own, as `include_usage` asks for; `last` beside the finish reason."""
    head = {"id": "chatcmpl-C2", "object": "chat.completion.chunk", "created": CREATED, "model": model}
    told: dict[str, Any] = {} if usage is None else {"usage": None}
    chunks = [{"role": "assistant", "content": "", "refusal": None}, *deltas]
    said: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **told, "obfuscation": "q7"}
        for delta in chunks
    ]
    said.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **told, **(last or {})})
    if usage is not None:
        said.append({**head, "choices": [], "usage": usage})
    return events(said, done=True)


def chat_usage(
    tokens_in: int, tokens_out: int, *, cached: int = 0, reasoning: int = 0, audio_in: int = 0, audio_out: int = 0
) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio_in},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": audio_out,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def tool_deltas() -> Iterable[dict[str, Any]]:
    function = {"name": "depth", "arguments": ""}
    yield {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    for piece in ('{"str', 'ait": "Nar', 'rows"}'):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def completion(usage: dict[str, Any]) -> Canned:
    choice = {"text": TEXT, "index": 0, "logprobs": None, "finish_reason": "stop"}
    head = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": CREATED,
        "model": "gpt-3.5-turbo-instruct:20230824-v2",
    }
    return document({**head, "choices": [choice], "usage": usage})


def completion_stream(usage: dict[str, Any]) -> Canned:
    head = {
        "id": "cmpl-2",
        "object": "text_completion",
        "created": CREATED,
        "model": "gpt-3.5-turbo-instruct:20230824-v2",
    }
    said: list[dict[str, Any]] = [
        {**head, "choices": [{"text": piece, "index": 0, "logprobs": None, "finish_reason": None}], "usage": None}
        for piece in PIECES
    ]
    return events([*said, {**head, "choices": [], "usage": usage}], done=True)


def response(*, status: str, usage: dict[str, Any] | None) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": TEXT}
    message = {"id": "msg_1", "type": "message", "status": "completed", "content": [part], "role": "assistant"}
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": [thought, message] if usage else [],
        "reasoning": {"effort": "medium", "summary": None},
        "usage": usage,
        "metadata": {},
    }


def response_usage(tokens_in: int, tokens_out: int, *, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": tokens_in + tokens_out,
    }


def response_stream(usage: dict[str, Any]) -> Canned:
    place = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": response(status="in_progress", usage=None)},
        {"type": "response.in_progress", "response": response(status="in_progress", usage=None)},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in PIECES),
        {"type": "response.output_text.done", **place, "text": TEXT, "logprobs": []},
        {"type": "response.completed", "response": response(status="completed", usage=usage)},
    ]
    numbered = ({"type": item.pop("type"), "sequence_number": number, **item} for number, item in enumerate(said))
    return events(numbered, is_named=True)


def embeddings(tokens_in: int) -> Canned:
    item = {"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093, 0.0157]}
    usage = {"prompt_tokens": tokens_in, "total_tokens": tokens_in}
    return document({"object": "list", "data": [item], "model": "text-embedding-3-small", "usage": usage})


def message_head(usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {
        "model": "claude-sonnet-4-5-20250929",
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "content": [],
    }
    return {**head, "stop_reason": None, "stop_sequence": None, **more, "usage": usage}


def message_usage(
    tokens_in: int, tokens_out: int, *, read: int = 0, write: int = 0, write_long: int = 0, searches: int = 0
) -> dict[str, Any]:
    return {
        "input_tokens": tokens_in,
        "cache_creation_input_tokens": write,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": write - write_long,
            "ephemeral_1h_input_tokens": write_long,
        },
        "output_tokens": tokens_out,
        "server_tool_use": {"web_search_requests": searches} if searches else None,
        "service_tier": "standard",
    }


def message(usage: dict[str, Any]) -> Canned:
    content = [{"type": "text", "text": TEXT}]
    return document(message_head(usage, content=content, stop_reason="end_turn"))


def message_stream(usage: dict[str, Any], *, output_tokens: int, thought: str = "") -> Canned:
    said: list[dict[str, Any]] = [{"type": "message_start", "message": message_head(usage)}, {"type": "ping"}]
    if thought:
        said += [
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": thought}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}},
            {"type": "content_block_stop", "index": 0},
        ]
    said += [
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}}
            for piece in PIECES
        ),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {**usage, "output_tokens": output_tokens},
        },
        {"type": "message_stop"},
    ]
    return events(said, is_named=True)


def content(text: str, usage: dict[str, Any], *, finish_reason: str | None = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "zYxW",
    }


def content_usage(
    tokens_in: int, candidates: int, *, thoughts: int = 0, cached: int = 0, audio_in: int = 0
) -> dict[str, Any]:
    usage: dict[str, Any] = {"promptTokenCount": tokens_in, "candidatesTokenCount": candidates}
    usage["totalTokenCount"] = tokens_in + candidates + thoughts
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": tokens_in - audio_in}]
    if audio_in:
        usage["promptTokensDetails"].append({"modality": "AUDIO", "tokenCount": audio_in})
    if cached:
        usage["cachedContentTokenCount"] = cached
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": cached}]
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage


def content_chunks(tokens_in: int, candidates: int, *, thoughts: int, cached: int = 0) -> list[dict[str, Any]]:
    """Counts grow from chunk to chunk; the last one is the bill."""
    chunks = []
    for index, piece in enumerate(PIECES, 1):
        is_last = index == len(PIECES)
        so_far = candidates if is_last else candidates * index // (len(PIECES) + 1)
        usage = content_usage(tokens_in, so_far, thoughts=thoughts, cached=cached)
        chunks.append(content(piece, usage, finish_reason="STOP" if is_last else None))
    return chunks


def content_array(chunks: list[dict[str, Any]]) -> Canned:
    pieces = [("[" if index == 0 else ",\r\n") + json.dumps(chunk, indent=2) for index, chunk in enumerate(chunks)]
    return stream([piece.encode() for piece in (*pieces, "\n]")], "application/json; charset=UTF-8")


def generation_details(tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {"finish_reason": "eos_token", "generated_tokens": tokens_out, "seed": None, "input_length": tokens_in}


def generation_stream(details: dict[str, Any] | None) -> Canned:
    said = [
        {
            "index": index,
            "token": {"id": 100 + index, "text": piece, "logprob": -0.25, "special": False},
            "generated_text": TEXT if index == len(PIECES) else None,
            "details": details if index == len(PIECES) else None,
        }
        for index, piece in enumerate(PIECES, 1)
    ]
    return events(said)


def prediction(metrics: dict[str, Any]) -> Canned:
    return document(
        {
            "id": "p9",
            "model": "meta/meta-llama-3-8b-instruct",
            "version": "hidden",
            "input": {"prompt": "Where to?"},
            "logs": "",
            "output": list(PIECES),
            "data_removed": False,
            "error": None,
            "status": "succeeded",
            "created_at": "2026-05-22T00:00:00.000Z",
            "started_at": "2026-05-22T00:00:01.000Z",
            "completed_at": "2026-05-22T00:00:02.000Z",
            "urls": {"get": "https://api.replicate.com/v1/predictions/p9"},
            "metrics": metrics,
        },
        status=201,
    )


def prediction_stream() -> Canned:
    pieces = [f"event: output\nid: {index}:0\ndata: {piece}\n\n" for index, piece in enumerate(PIECES)]
    return stream(piece.encode() for piece in (*pieces, "event: done\nid: 9:0\ndata: {}\n\n"))
