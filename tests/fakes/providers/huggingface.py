"""Hugging Face: text generation (TGI) on a model's own path, and the router's chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fakes.providers import openai
from tests.fakes.providers.server import PIECES, TEXT, TOKENS_IN, TOKENS_OUT, Canned, Recorded, document, events


def answer(request: Recorded, url: str) -> Canned | None:
    """A model called `error-503` is refused with that status."""
    if request.path.endswith("/chat/completions"):
        return openai.chat(request.json)
    if request.method != "POST":
        return None
    name = request.path.rpartition("/")[2]
    if name.startswith("error-"):
        status = int(name.removeprefix("error-"))
        return document({"error": f"refused with {status}", "error_type": "overloaded"}, status=status)
    body = request.json
    if body.get("stream"):
        return events(_events())
    generated: dict[str, Any] = {"generated_text": TEXT}
    if (body.get("parameters") or {}).get("details"):
        generated["details"] = {**_details(), "prefill": [], "tokens": []}
    counts = {"x_prompt_tokens": str(TOKENS_IN), "x_generated_tokens": str(TOKENS_OUT)}
    return document([generated], x_compute_type="cpu", x_compute_time="0.1", **counts)


def _events() -> Iterator[dict[str, Any]]:
    for index, piece in enumerate(PIECES, start=1):
        is_last = index == len(PIECES)
        yield {
            "index": index,
            "token": {"id": index, "text": piece, "logprob": -0.1 * index, "special": False},
            "generated_text": TEXT if is_last else None,
            "details": _details() if is_last else None,
        }


def _details() -> dict[str, Any]:
    return {"finish_reason": "length", "generated_tokens": TOKENS_OUT, "input_length": TOKENS_IN, "seed": None}
