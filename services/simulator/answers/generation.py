"""Text generation (TGI): one token an event; the last one brings the whole text and the counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.simulator.answers.answer import Answer, event, stream, whole
from services.simulator.answers.question import Question, Text, tokens_in


def generation(question: Question) -> Answer:
    """`POST models/{model}`."""
    parameters = question.body.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    text = question.text(parameters.get("max_new_tokens"))
    if question.body.get("stream") is True:
        return stream(_events(question, text))
    generated: dict[str, Any] = {"generated_text": text.whole}
    if parameters.get("details") is True:
        generated["details"] = {**_details(question, text), "prefill": [], "tokens": []}
    counts = {"x_prompt_tokens": str(_count_in(question)), "x_generated_tokens": str(text.tokens)}
    return whole([generated], x_compute_type="simulator", **counts)


def _events(question: Question, text: Text) -> Iterator[bytes]:
    for index, piece in enumerate(text.pieces(), start=1):
        is_last = index == text.chunks
        yield event(
            {
                "index": index,
                "token": {"id": index, "text": piece, "logprob": -0.5, "special": False},
                "generated_text": text.whole if is_last else None,
                "details": _details(question, text) if is_last else None,
            }
        )


def _details(question: Question, text: Text) -> dict[str, Any]:
    return {
        "finish_reason": "length" if text.is_cut else "eos_token",
        "generated_tokens": text.tokens,
        "input_length": _count_in(question),
        "seed": None,
    }


def _count_in(question: Question) -> int:
    return tokens_in(question.body.get("inputs"))
