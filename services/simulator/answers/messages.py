"""Messages: the block-wise protocol with usage at the stream's start and end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.simulator.answers.answer import Answer, named_event, stream, whole
from services.simulator.answers.question import Question, Text, tokens_in


def message(question: Question) -> Answer:
    """`messages`."""
    text = question.text(question.body.get("max_tokens"))
    if question.body.get("stream") is True:
        return stream(named_event(fields) for fields in _events(question, text))
    ended = {
        "content": [{"type": "text", "text": text.whole}],
        "stop_reason": _stop_reason(text),
        "usage": _usage(question, text.tokens),
    }
    return whole({**_message(question), **ended})


def token_count(question: Question) -> Answer:
    """`messages/count_tokens`."""
    return whole({"input_tokens": _count_in(question)})


def _events(question: Question, text: Text) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**_message(question), "usage": _usage(question, 1)}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for piece in text.pieces():
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": _stop_reason(text), "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": text.tokens}}
    yield {"type": "message_stop"}


def _message(question: Question) -> dict[str, Any]:
    return {
        "id": question.identifier("msg_"),
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(question: Question, tokens_out: int) -> dict[str, int]:
    return {
        "input_tokens": _count_in(question),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens_out,
    }


def _count_in(question: Question) -> int:
    return tokens_in(question.body.get("system"), question.body.get("messages"), question.body.get("tools"))


def _stop_reason(text: Text) -> str:
    return "max_tokens" if text.is_cut else "end_turn"
