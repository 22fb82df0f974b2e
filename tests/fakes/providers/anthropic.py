"""Anthropic's API: messages, token counts, models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fakes.providers.server import PIECES, TEXT, TOKENS_IN, TOKENS_OUT, Canned, Recorded, document, events

CACHE_READ = 5
CACHE_WRITE = 2
USAGE = {
    "input_tokens": TOKENS_IN - CACHE_READ - CACHE_WRITE,
    "cache_creation_input_tokens": CACHE_WRITE,
    "cache_read_input_tokens": CACHE_READ,
    "cache_creation": {"ephemeral_5m_input_tokens": CACHE_WRITE, "ephemeral_1h_input_tokens": 0},
    "service_tier": "standard",
}
MODEL = {"type": "model", "id": "claude-sonnet-5", "display_name": "Fake", "created_at": "2026-05-22T00:00:00Z"}


def answer(request: Recorded, url: str) -> Canned | None:
    """A model called `error-529` is refused with that status."""
    match request.method, request.path.strip("/").split("/"):
        case "POST", ["v1", "messages"]:
            return _message(request.json)
        case "POST", ["v1", "messages", "count_tokens"]:
            return document({"input_tokens": TOKENS_IN})
        case "GET", ["v1", "models"]:
            return document({"data": [MODEL], "has_more": False, "first_id": MODEL["id"], "last_id": MODEL["id"]})
        case "GET", ["v1", "models", name]:
            return document({**MODEL, "id": name})
        case _:
            return None


def _message(body: dict[str, Any]) -> Canned:
    model = body.get("model", "")
    if model.startswith("error-"):
        status = int(model.removeprefix("error-"))
        content = {
            "type": "overloaded_error" if status == 529 else "rate_limit_error",
            "message": f"refused with {status}",
        }
        return document({"type": "error", "error": content, "request_id": "req_1"}, status=status, retry_after="1")
    if body.get("stream"):
        return events(_events(model), is_named=True)
    ended = {"content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"}
    return document({**_head(model), **ended, "usage": {**USAGE, "output_tokens": TOKENS_OUT}}, request_id="req_1")


def _events(model: str) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**_head(model), "usage": {**USAGE, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for piece in PIECES:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": TOKENS_OUT}}
    yield {"type": "message_stop"}


def _head(model: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
