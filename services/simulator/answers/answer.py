"""Answers: a whole body or the events of a stream, as bytes that are ready to be sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces`: one whole body, or one piece per event."""

    pieces: tuple[bytes, ...]
    is_stream: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        return "text/event-stream; charset=utf-8" if self.is_stream else "application/json"


def whole(fields: Any, **headers: str) -> Answer:  # any JSON
    """An answer that is one JSON document. Headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((msgspec.json.encode(fields),), headers=named)


def stream(events: Iterable[bytes]) -> Answer:
    """An answer of server-sent events."""
    return Answer(tuple(events), is_stream=True)


def event(fields: dict[str, Any]) -> bytes:
    """An event without a name."""
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def named_event(fields: dict[str, Any]) -> bytes:
    """An event named by the `type` of its fields."""
    return f"event: {fields['type']}\n".encode() + b"data: " + msgspec.json.encode(fields) + b"\n\n"
