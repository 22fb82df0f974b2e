"""
Chat completions and plain completions, whole and streamed.

A stream has exactly as many events with text as were asked for: the role rides on the first and the finish
reason on the last. The usage event comes only when the request asks for it, before the end mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.simulator.answers.answer import DONE, Answer, event, stream, whole
from services.simulator.answers.question import Question, Text, tokens_in


def chat(question: Question) -> Answer:
    """`chat/completions`."""
    body = question.body
    text = question.text(body.get("max_completion_tokens") or body.get("max_tokens"))
    usage = _usage(tokens_in(body.get("messages"), body.get("tools")), text)
    if body.get("stream") is True:
        return stream(_events(question, "chat.completion.chunk", _deltas(text), usage))
    message = {"role": "assistant", "content": text.whole, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(text)}
    return whole({**_head(question, "chat.completion", "chatcmpl-"), "choices": [choice], "usage": usage})


def completion(question: Question) -> Answer:
    """`completions`."""
    text = question.text(question.body.get("max_tokens"))
    usage = _usage(tokens_in(question.body.get("prompt")), text)
    if question.body.get("stream") is True:
        return stream(_events(question, "text_completion", _texts(text), usage))
    choice = {"index": 0, "text": text.whole, "logprobs": None, "finish_reason": _finish_reason(text)}
    return whole({**_head(question, "text_completion", "cmpl-"), "choices": [choice], "usage": usage})


def _head(question: Question, kind: str, prefix: str) -> dict[str, Any]:
    return {
        "id": question.identifier(prefix),
        "object": kind,
        "created": question.created,
        "model": question.model,
        "system_fingerprint": "fp_simulator",
    }


def _usage(count_in: int, text: Text) -> dict[str, Any]:
    return {
        "prompt_tokens": count_in,
        "completion_tokens": text.tokens,
        "total_tokens": count_in + text.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _finish_reason(text: Text) -> str:
    return "length" if text.is_cut else "stop"


def _events(question: Question, kind: str, choices: Iterator[dict[str, Any]], usage: dict[str, Any]) -> Iterator[bytes]:
    head = _head(question, kind, "chatcmpl-" if kind.startswith("chat") else "cmpl-")
    options = question.body.get("stream_options")
    is_usage_asked = isinstance(options, dict) and options.get("include_usage") is True
    last: dict[str, Any] = {"usage": None} if is_usage_asked else {}
    for choice in choices:
        yield event({**head, "choices": [choice], **last})
    if is_usage_asked:
        yield event({**head, "choices": [], "usage": usage})
    yield DONE


def _deltas(text: Text) -> Iterator[dict[str, Any]]:
    for index, piece in enumerate(text.pieces()):
        delta = {"role": "assistant", "content": piece} if index == 0 else {"content": piece}
        finish_reason = _finish_reason(text) if index == text.chunks - 1 else None
        yield {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _texts(text: Text) -> Iterator[dict[str, Any]]:
    for index, piece in enumerate(text.pieces()):
        finish_reason = _finish_reason(text) if index == text.chunks - 1 else None
        yield {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish_reason}
