"""
Streams: one answer in each form that providers stream, small enough to be broken at every byte.

Each has what its provider would put into it when things go wrong: an event that is no JSON, an error of its own, and a
refusal with 429 after the answer has begun. All count `TOKENS_IN` and `TOKENS_OUT` where they count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.fakes.providers.recording import CONTENT, MESSAGES
from tests.fakes.providers.server import PIECES, TEXT, TOKENS_IN, TOKENS_OUT

MALFORMED = '{"text": "no end'
TROUBLE = "the provider has trouble"
TOO_MANY = "too many requests"


@dataclass(frozen=True)
class Spoken:
    """
    A whole stream is `first`, then any number of `delta`, then `last`; an event that begins none goes before `last`.

    `after`: what may still follow the end without changing it.
    """

    name: str
    provider: str
    path: str
    request: dict[str, Any]
    first: tuple[bytes, ...]
    delta: Callable[[str], bytes]
    last: tuple[bytes, ...]
    malformed: bytes
    failure: bytes
    throttled: bytes
    after: bytes
    is_end: Callable[[str, dict[str, Any]], bool]
    """Whether an event of that name and these fields ends the stream."""
    content_type: str = "text/event-stream"

    @property
    def is_array(self) -> bool:
        return self.content_type == "application/json"

    @property
    def events(self) -> tuple[bytes, ...]:
        """The whole stream."""
        return (*self.first, *map(self.delta, PIECES), *self.last)

    @property
    def half(self) -> tuple[bytes, ...]:
        """Its beginning, with some text."""
        return (*self.first, *map(self.delta, PIECES[:2]))

    @property
    def rest(self) -> tuple[bytes, ...]:
        """What comes after the half."""
        return (*map(self.delta, PIECES[2:]), *self.last)

    def long(self, count: int, size: int) -> tuple[bytes, ...]:
        """A stream of so many deltas with so much text."""
        return (*self.first, *[self.delta("x" * size)] * count, *self.last)

    def has_ended(self, beginning: bytes) -> bool:
        """Whether so much of the stream holds its end, and nothing half behind it."""
        if self.is_array:
            return _is_json(beginning)
        events = [_fields_of(block) for block in beginning.decode().replace("\r\n", "\n").split("\n\n")]
        is_torn = bool(events[-1][1]) and not _is_event(events[-1][1])
        whole = [(name, json.loads(text)) for name, text in events if text.startswith("{") and _is_json(text)]
        is_done = any(text == "[DONE]" for _, text in events)
        return not is_torn and (is_done or any(self.is_end(name, fields) for name, fields in whole))


def _fields_of(block: str) -> tuple[str, str]:
    """The name and the data of an event."""
    fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
    return fields.get("event", ""), fields.get("data", "")


def _is_event(text: str) -> bool:
    return text == "[DONE]" or _is_json(text)


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _event(fields: dict[str, Any], *, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(fields)}\n\n".encode()


def _named(fields: dict[str, Any]) -> bytes:
    return _event(fields, name=fields["type"])


def _broken(name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {MALFORMED}\n\n".encode()


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    return _event({"id": "c1", "object": "chat.completion.chunk", "model": "gpt-5-mini", "choices": choices, **more})


def _chat_error(message: str, kind: str, code: str | None) -> bytes:
    return _event({"error": {"message": message, "type": kind, "param": None, "code": code}})


CHAT = Spoken(
    name="OpenAI chat",
    provider="openai",
    path="chat/completions",
    request={"model": "gpt-5-mini", "stream": True, "messages": MESSAGES},
    first=(_chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]),),
    delta=lambda text: _chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}]),
    last=(
        _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        _chunk([], usage={"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT}),
        b"data: [DONE]\n\n",
    ),
    malformed=_broken(),
    failure=_chat_error(TROUBLE, "server_error", None),
    throttled=_chat_error(TOO_MANY, "requests", "rate_limit_exceeded"),
    after=b": bye\n\n",
    is_end=lambda name, fields: any(choice.get("finish_reason") for choice in fields.get("choices", ())),
)


def _response(kind: str, **fields: Any) -> bytes:
    return _named({"type": f"response.{kind}", "response": {"id": "r1", "model": "gpt-5-mini", **fields}})


RESPONSES = Spoken(
    name="Responses",
    provider="openai",
    path="v1/responses",
    request={"model": "gpt-5-mini", "stream": True, "input": "Where to?"},
    first=(_response("created", status="in_progress", usage=None),),
    delta=lambda text: _named({"type": "response.output_text.delta", "item_id": "m1", "delta": text}),
    last=(
        _named({"type": "response.output_text.done", "item_id": "m1", "text": TEXT}),
        _response("completed", status="completed", usage={"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}),
    ),
    malformed=_broken("response.output_text.delta"),
    failure=_named({"type": "error", "code": "server_error", "message": TROUBLE, "param": None}),
    throttled=_response("failed", status="failed", error={"code": "rate_limit_exceeded", "message": TOO_MANY}),
    after=b": bye\n\n",
    is_end=lambda name, fields: fields.get("type") == "response.completed",
)


def _failed(kind: str, message: str) -> bytes:
    return _named({"type": "error", "error": {"type": kind, "message": message}})


ANTHROPIC = Spoken(
    name="Anthropic",
    provider="anthropic",
    path="v1/messages",
    request={"model": "claude-sonnet-5", "stream": True, "max_tokens": 64, "messages": MESSAGES},
    first=(
        _named(
            {
                "type": "message_start",
                "message": {"id": "m1", "model": "claude-sonnet-5", "usage": {"input_tokens": TOKENS_IN}},
            }
        ),
    ),
    delta=lambda text: _named({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}),
    last=(
        _named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": TOKENS_OUT}}),
        _named({"type": "message_stop"}),
    ),
    malformed=_broken("content_block_delta"),
    failure=_failed("api_error", TROUBLE),
    throttled=_failed("rate_limit_error", TOO_MANY),
    after=_named({"type": "ping"}),
    is_end=lambda name, fields: (
        fields.get("type") == "message_stop" or bool(fields.get("delta", {}).get("stop_reason"))
    ),
)


def _content(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    if finish_reason is None:
        return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash"}
    usage = {"promptTokenCount": TOKENS_IN, "candidatesTokenCount": TOKENS_OUT}
    return {"candidates": [{**candidate, "finishReason": finish_reason}], "usageMetadata": usage}


def _google_error(status: int, name: str, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": name}}


GENERATE = "v1beta/models/gemini-2.5-flash:streamGenerateContent"
GEMINI = Spoken(
    name="Gemini",
    provider="google-ai-studio",
    path=f"{GENERATE}?alt=sse",
    request=CONTENT,
    first=(_event(_content("")).replace(b"\n", b"\r\n"),),
    delta=lambda text: _event(_content(text)).replace(b"\n", b"\r\n"),
    last=(_event(_content("", "STOP")).replace(b"\n", b"\r\n"),),
    malformed=_broken().replace(b"\n", b"\r\n"),
    failure=_event(_google_error(503, "UNAVAILABLE", TROUBLE)).replace(b"\n", b"\r\n"),
    throttled=_event(_google_error(429, "RESOURCE_EXHAUSTED", TOO_MANY)).replace(b"\n", b"\r\n"),
    after=b": bye\r\n\r\n",
    is_end=lambda name, fields: any(candidate.get("finishReason") for candidate in fields.get("candidates", ())),
)


def _item(fields: dict[str, Any]) -> bytes:
    return b",\r\n" + json.dumps(fields).encode()


ARRAY = Spoken(
    name="Gemini, one array",
    provider="google-ai-studio",
    path=GENERATE,
    request=CONTENT,
    first=(b"[" + json.dumps(_content("")).encode(),),
    delta=lambda text: _item(_content(text)),
    last=(_item(_content("", "STOP")), b"\n]\n"),
    malformed=b",\r\n" + MALFORMED.encode(),
    failure=_item(_google_error(503, "UNAVAILABLE", TROUBLE)),
    throttled=_item(_google_error(429, "RESOURCE_EXHAUSTED", TOO_MANY)),
    after=b"\r\n",
    is_end=lambda name, fields: False,
    content_type="application/json",
)


def _token(text: str, generated: str | None = None) -> bytes:
    details = {"generated_tokens": TOKENS_OUT, "input_length": TOKENS_IN} if generated is not None else None
    return _event({"token": {"id": 1, "text": text}, "generated_text": generated, "details": details})


def _tgi_error(message: str, kind: str) -> bytes:
    return _event({"error": message, "error_type": kind})


TGI = Spoken(
    name="TGI",
    provider="huggingface",
    path="gpt2",
    request={"inputs": "Where to?", "stream": True},
    first=(_token(""),),
    delta=_token,
    last=(_token("", TEXT),),
    malformed=_broken(),
    failure=_tgi_error(TROUBLE, "generation"),
    throttled=_tgi_error(TOO_MANY, "overloaded"),
    after=b": bye\n\n",
    is_end=lambda name, fields: fields.get("generated_text") is not None,
)

SPOKEN: tuple[Spoken, ...] = (CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, TGI)


def one(events: Iterable[bytes]) -> bytes:
    """A stream's octets."""
    return b"".join(events)
