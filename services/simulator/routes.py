"""
Routes: which answer a path gets, and how its errors look.

The dialect is told by the path alone, with or without `v1/` before it, because the edge drops that prefix for
some clients and not for others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.dialects.errors import body_of
from services.dialects.paths import format_of
from services.kit.errors import Malformed
from services.simulator.answers import chat, embeddings, generation, messages, models, responses
from services.simulator.answers.answer import Answer
from services.simulator.answers.question import Question, question_of
from services.simulator.knobs import Knobs

_ANSWERS: Final[Mapping[str, Callable[[Question], Answer]]] = {
    "chat/completions": chat.chat,
    "completions": chat.completion,
    "responses": responses.response,
    "embeddings": embeddings.embedding,
    "messages": messages.message,
    "messages/count_tokens": messages.token_count,
}


def local_path(raw_path: str) -> str:
    """The path without its slash, its query and `v1/`."""
    return raw_path.partition("?")[0].removeprefix("/").removeprefix("v1/")


def answer(method: str, path: str, body: bytes, knobs: Knobs) -> Answer | None:
    """The answer to a request; None: there is no such path. Raises Malformed when the body is no JSON object."""
    if method in ("GET", "HEAD"):
        return _answer_to_get(path)
    if method != "POST":
        return None
    make = _ANSWERS.get(path)
    if make is None and path.startswith("models/"):
        make = generation.generation
    return make(question_of(path, body, _fields(body), knobs)) if make is not None else None


def error_answer(path: str, status: int, message: str) -> Answer:
    """The path's own dialect's error body."""
    form = format_of("simulator", path)
    if form.name == "text-generation":
        return Answer((msgspec.json.encode({"error": message, "error_type": "simulated"}),))
    return Answer((body_of(form.error_shape, status, message, code=status),))


def _answer_to_get(path: str) -> Answer | None:
    if path == "models":
        return models.model_list()
    return models.model(path.removeprefix("models/")) if path.startswith("models/") else None


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Malformed("the body must be a JSON object") from error
