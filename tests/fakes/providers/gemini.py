"""Google's Gemini API: content, streamed as events or as one array, embeddings, token counts, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.providers.server import PIECES, TEXT, TOKENS_IN, TOKENS_OUT, Canned, Recorded, document, events, stream

THOUGHTS = 1
USAGE = {
    "promptTokenCount": TOKENS_IN,
    "candidatesTokenCount": TOKENS_OUT - THOUGHTS,
    "thoughtsTokenCount": THOUGHTS,
    "cachedContentTokenCount": 3,
    "totalTokenCount": TOKENS_IN + TOKENS_OUT,
}


def answer(request: Recorded, url: str) -> Canned | None:
    """A model called `error-503` is refused with that status."""
    _, _, rest = request.path.strip("/").partition("/")
    name, _, method = rest.removeprefix("models/").partition(":")
    if request.method == "GET":
        return _models(name if rest != "models" else "")
    if name.startswith("error-"):
        status = int(name.removeprefix("error-"))
        content = {"code": status, "message": f"refused with {status}", "status": "UNAVAILABLE"}
        return document({"error": content}, status=status)
    match method:
        case "generateContent":
            return document(_content(name, TEXT, usage=USAGE, finish_reason="STOP"))
        case "streamGenerateContent":
            return _streamed(name, is_events=request.query.get("alt") == ["sse"])
        case "embedContent":
            return document({"embedding": {"values": [0.25, -0.5]}})
        case "batchEmbedContents":
            return document({"embeddings": [{"values": [0.25, -0.5]} for _ in request.json["requests"]]})
        case "countTokens":
            return document({"totalTokens": TOKENS_IN})
        case _:
            return None


def _streamed(name: str, *, is_events: bool) -> Canned:
    chunks = list(_chunks(name))
    if is_events:
        return events(chunks, end="\r\n\r\n")
    pieces = [("[" if index == 0 else ",\r\n") + json.dumps(chunk, indent=2) for index, chunk in enumerate(chunks)]
    return stream([piece.encode() for piece in (*pieces, "\n]")], "application/json; charset=UTF-8")


def _chunks(name: str) -> Iterator[dict[str, Any]]:
    for index, piece in enumerate(PIECES):
        is_last = index == len(PIECES) - 1
        usage = USAGE if is_last else {"promptTokenCount": TOKENS_IN, "totalTokenCount": TOKENS_IN}
        yield _content(name, piece, usage=usage, finish_reason="STOP" if is_last else None)


def _content(name: str, text: str, *, usage: dict[str, int], finish_reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": name, "responseId": "r1"}


def _models(name: str) -> Canned:
    methods = ["generateContent", "countTokens"]
    model = {"version": "001", "displayName": "Fake", "inputTokenLimit": 1000, "supportedGenerationMethods": methods}
    if name:
        return document({"name": f"models/{name}", **model})
    return document({"models": [{"name": "models/gemini-2.5-flash", **model}]})
