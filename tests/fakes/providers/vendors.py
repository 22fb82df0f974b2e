"""Answers of Cohere, Workers AI and of those who speak OpenAI's dialect with something of their own."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.providers.server import Canned, document, events, stream
from tests.fakes.providers.shapes import CREATED, PIECES, TEXT, chat_usage

Fields = dict[str, Any]


def cohere_usage(tokens_in: int, tokens_out: int, *, cached: int = 0) -> Fields:
    """What is billed, beside what the model read with its preamble."""
    billed = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    read = {"input_tokens": tokens_in + 483, "output_tokens": tokens_out + 2}
    return {"billed_units": billed, "tokens": read, "cached_tokens": cached}


def cohere_chat(usage: Fields) -> Canned:
    message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
    return document({"id": "c-1", "message": message, "finish_reason": "COMPLETE", "usage": usage})


def cohere_stream(usage: Fields | None, *, finish_reason: str = "COMPLETE", **more: Any) -> Canned:
    said: list[Fields] = [
        {"type": "message-start", "id": "c-2", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": p}}}} for p in PIECES),
        {"type": "content-end", "index": 0},
        {"type": "message-end", "id": "c-2", "delta": {"finish_reason": finish_reason, **more}},
    ]
    if usage is not None:
        said[-1]["delta"]["usage"] = usage
    return events(said, is_named=True)


def cohere_v1(usage: Fields) -> Canned:
    return document(
        {
            "response_id": "r-1",
            "text": TEXT,
            "generation_id": "g-1",
            "chat_history": [],
            "finish_reason": "COMPLETE",
            "meta": {"api_version": {"version": "1"}, **usage},
        }
    )


def cohere_v1_stream(usage: Fields) -> Canned:
    response = {"response_id": "r-1", "text": TEXT, "finish_reason": "COMPLETE", "meta": usage}
    said: list[Fields] = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
        *({"is_finished": False, "event_type": "text-generation", "text": piece} for piece in PIECES),
        {"is_finished": True, "event_type": "stream-end", "response": response, "finish_reason": "COMPLETE"},
    ]
    return stream([json.dumps(fields).encode() + b"\n" for fields in said], "application/stream+json")


def cohere_embedding(tokens_in: int) -> Canned:
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens_in}}
    return document({"id": "e-1", "embeddings": {"float": [[0.25]]}, "texts": ["x"], "meta": meta})


def deepseek_usage(tokens_in: int, tokens_out: int, *, cached: int, reasoning: int = 0) -> Fields:
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "prompt_cache_hit_tokens": cached,
        "prompt_cache_miss_tokens": tokens_in - cached,
    }


def openrouter_usage(tokens_in: int, tokens_out: int, cost: float, *, upstream: float | None = None) -> Fields:
    """`upstream`: with a key of one's own, what its provider charges."""
    return {
        **chat_usage(tokens_in, tokens_out),
        "cost": cost,
        "is_byok": upstream is not None,
        "cost_details": {"upstream_inference_cost": cost if upstream is None else upstream},
    }


def xai_usage(tokens_in: int, tokens_out: int, *, reasoning: int, cached: int = 0, ticks: int | None = None) -> Fields:
    """Output leaves out reasoning, and only the total shows it."""
    usage: Fields = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out + reasoning,
        "prompt_tokens_details": {"text_tokens": tokens_in, "audio_tokens": 0, "cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
        "num_sources_used": 0,
    }
    return usage if ticks is None else {**usage, "cost_in_usd_ticks": ticks}


def azure_stream(usage: Fields) -> Canned:
    """What the prompt's filter found comes first, in a chunk that says nothing else; each piece is judged too."""
    head = {
        "id": "chatcmpl-A",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
    }
    passed = {"hate": {"filtered": False, "severity": "safe"}}
    said: list[Fields] = [
        {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": passed}],
        }
    ]
    for piece in PIECES:
        choice = {"content_filter_results": passed, "delta": {"content": piece}, "finish_reason": None, "index": 0}
        said.append({**head, "choices": [choice], "usage": None})
    finished = {"content_filter_results": {}, "delta": {}, "finish_reason": "stop", "index": 0}
    said.append({**head, "choices": [finished], "usage": None})
    said.append({**head, "choices": [], "usage": usage})
    return events(said, done=True)


def workers_usage(tokens_in: int, tokens_out: int) -> Fields:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def workers(usage: Fields) -> Canned:
    result = {"response": TEXT, "tool_calls": [], "usage": usage}
    return document({"result": result, "success": True, "errors": [], "messages": []})


def workers_stream(usage: Fields | None) -> Canned:
    said: list[Fields] = [{"response": piece, "p": "abcdef"} for piece in PIECES]
    return events([*said, {"response": "", **({} if usage is None else {"usage": usage})}], done=True)


def conversation_stream(usage: Fields) -> Canned:
    """Mistral's agents with a memory."""
    said: list[Fields] = [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        *(
            {"type": "message.output.delta", "id": "msg_1", "content": piece, "model": "mistral-medium-2505"}
            for piece in PIECES
        ),
        {"type": "conversation.response.done", "usage": usage},
    ]
    return events(said, is_named=True)


def picture(tokens_in: int, tokens_out: int, *, image: int) -> Canned:
    """Google's answer that draws: most of what it counts is the picture."""
    parts = [{"text": "Here it is."}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]
    usage = {
        "promptTokenCount": tokens_in,
        "candidatesTokenCount": tokens_out,
        "totalTokenCount": tokens_in + tokens_out,
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens_in}],
        "candidatesTokensDetails": [
            {"modality": "TEXT", "tokenCount": tokens_out - image},
            {"modality": "IMAGE", "tokenCount": image},
        ],
    }
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return document({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash-image"})
