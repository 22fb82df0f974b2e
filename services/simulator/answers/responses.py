"""Responses: one message item, whole or as the sequence of events that builds it up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.simulator.answers.answer import Answer, named_event, stream, whole
from services.simulator.answers.question import Question, Text, tokens_in


def response(question: Question) -> Answer:
    """`responses`."""
    text = question.text(question.body.get("max_output_tokens"))
    if question.body.get("stream") is True:
        numbered = enumerate(_events(question, text))
        return stream(named_event({**fields, "sequence_number": number}) for number, fields in numbered)
    return whole(_finished(question, text))


def _events(question: Question, text: Text) -> Iterator[dict[str, Any]]:
    started = {**_response(question), "status": "in_progress"}
    item = _item(question)
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}}
    yield {"type": "response.content_part.added", **place, "part": _part("")}
    for piece in text.pieces():
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": text.whole, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": _part(text.whole)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _item(question, text.whole)}
    ending = "response.incomplete" if text.is_cut else "response.completed"
    yield {"type": ending, "response": _finished(question, text)}


def _response(question: Question) -> dict[str, Any]:
    body = question.body
    return {
        "id": question.identifier("resp_"),
        "object": "response",
        "created_at": question.created,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": question.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def _finished(question: Question, text: Text) -> dict[str, Any]:
    count_in = tokens_in(question.body.get("instructions"), question.body.get("input"))
    usage = {
        "input_tokens": count_in,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": text.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count_in + text.tokens,
    }
    ended: dict[str, Any] = {"output": [_item(question, text.whole)], "usage": usage}
    if text.is_cut:
        ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return {**_response(question), **ended}


def _item(question: Question, text: str | None = None) -> dict[str, Any]:
    content = [] if text is None else [_part(text)]
    identifier = question.identifier("msg_")
    return {"id": identifier, "type": "message", "status": "completed", "role": "assistant", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
