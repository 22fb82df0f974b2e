"""OpenAI's API: chat, completions, responses, embeddings, models, files, images, audio, moderations."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from tests.fakes.providers.server import (
    PIECES,
    TEXT,
    TOKENS_IN,
    TOKENS_OUT,
    Canned,
    Recorded,
    binary,
    document,
    events,
)

CREATED = 1_780_000_000
USAGE = {
    "prompt_tokens": TOKENS_IN,
    "completion_tokens": TOKENS_OUT,
    "total_tokens": TOKENS_IN + TOKENS_OUT,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
RESPONSE_USAGE = {
    "input_tokens": TOKENS_IN,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": TOKENS_OUT,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": TOKENS_IN + TOKENS_OUT,
}
FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 12,
    "created_at": CREATED,
    "filename": "a.jsonl",
    "purpose": "batch",
    "status": "processed",
}


def answer(request: Recorded, url: str) -> Canned | None:
    """The base URL may end in `/v1` or not."""
    path = request.path.removeprefix("/v1").strip("/")
    match request.method, path.split("/"):
        case "POST", ["chat", "completions"]:
            return chat(request.json)
        case "POST", ["completions"]:
            return _completion(request.json)
        case "POST", ["responses"]:
            return _response(request.json)
        case "POST", ["embeddings"]:
            return _embeddings(request.json)
        case "POST", ["moderations"]:
            return document({"id": "modr-1", "model": "omni-moderation-latest", "results": []})
        case "POST", ["images", "generations"]:
            image = {"b64_json": base64.b64encode(b"\x89PNG").decode()}
            return document({"created": CREATED, "data": [image], "usage": {**RESPONSE_USAGE}})
        case "POST", ["audio", "transcriptions" | "translations"]:
            usage = {
                "type": "tokens",
                **{key: RESPONSE_USAGE[key] for key in ("input_tokens", "output_tokens", "total_tokens")},
            }
            return document({"text": TEXT, "usage": usage})
        case "POST", ["audio", "speech"]:
            return binary(b"ID3" + bytes(range(256)) * 8, "audio/mpeg")
        case _:
            return _stored(request, path)


def _stored(request: Recorded, path: str) -> Canned | None:
    """Objects that are listed, fetched and deleted."""
    model = {"object": "model", "created": CREATED, "owned_by": "fake"}
    match request.method, path.split("/"):
        case "GET", ["models"]:
            return document({"object": "list", "data": [{"id": "gpt-5-mini", **model}]})
        case "GET", ["models", name]:
            return document({"id": name, **model})
        case "DELETE", ["models", name]:
            return document({"id": name, "object": "model", "deleted": True})
        case "POST", ["files"]:
            return document({**FILE, "bytes": len(request.body)})
        case "GET", ["files"]:
            return document({"object": "list", "data": [FILE], "has_more": False})
        case "GET", ["files", _, "content"]:
            return binary(b"\x00\x01binary\xff", "application/octet-stream")
        case "GET", ["files", _]:
            return document(FILE)
        case "DELETE", ["files", name]:
            return document({"id": name, "object": "file", "deleted": True})
        case _:
            return None


def chat(body: dict[str, Any]) -> Canned:
    """A chat completion; a model called `error-429` is refused with that status."""
    model = body.get("model", "")
    if model.startswith("error-"):
        return error(int(model.removeprefix("error-")))
    if body.get("stream"):
        return events(_chat_chunks(body), done=True)
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return document({**_head(model, "chat.completion"), "choices": [choice], "usage": USAGE})


def error(status: int) -> Canned:
    """A refusal as OpenAI words it."""
    kind = {401: "invalid_request_error", 429: "tokens", 500: "server_error"}.get(status, "invalid_request_error")
    content = {"message": f"refused with {status}", "type": kind, "param": None, "code": "rate_limit_exceeded"}
    return document({"error": content}, status=status, retry_after="1", x_ratelimit_remaining_requests="0")


def _chat_chunks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = _head(body.get("model", ""), "chat.completion.chunk")
    is_usage_asked = (body.get("stream_options") or {}).get("include_usage") is True
    usage: dict[str, Any] = {"usage": None} if is_usage_asked else {}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice], **usage}

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in PIECES:
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if is_usage_asked:
        yield {**head, "choices": [], "usage": USAGE}


def _completion(body: dict[str, Any]) -> Canned:
    head = _head(body.get("model", ""), "text_completion")
    if body.get("stream"):
        chunks = [
            {**head, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None}]}
            for piece in PIECES
        ]
        return events(chunks, done=True)
    choice = {"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "stop"}
    return document({**head, "choices": [choice], "usage": USAGE})


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": model, "system_fingerprint": "fp_1"}


def _embeddings(body: dict[str, Any]) -> Canned:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector: Any = [0.25, -0.5, 1.0]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
    items = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))]
    usage = {"prompt_tokens": TOKENS_IN, "total_tokens": TOKENS_IN}
    return document({"object": "list", "data": items, "model": body["model"], "usage": usage})


def _response(body: dict[str, Any]) -> Canned:
    if body.get("stream"):
        numbered = enumerate(_response_events(body))
        return events(({**item, "sequence_number": number} for number, item in numbered), is_named=True)
    return document(_response_object(body, status="completed"))


def _response_events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = _item([])
    yield {"type": "response.created", "response": _response_object(body, status="in_progress")}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.content_part.added", **place, "part": _part("")}
    for piece in PIECES:
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": TEXT, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": _part(TEXT)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _item([_part(TEXT)])}
    yield {"type": "response.completed", "response": _response_object(body, status="completed")}


def _response_object(body: dict[str, Any], *, status: str) -> dict[str, Any]:
    is_done = status == "completed"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": body.get("model"),
        "output": [_item([_part(TEXT)])] if is_done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": RESPONSE_USAGE if is_done else None,
    }


def _item(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
