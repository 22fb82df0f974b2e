"""Reading an answer as the relay does: by its request, whole or in pieces."""

from __future__ import annotations

import json
from typing import Any

from services.dialects.request import RequestFacts, RequestReader, request_form
from services.dialects.usage import Usage, UsageReaders

JSON = "application/json"
SSE = "text/event-stream"

_REQUESTS = RequestReader()


def facts(dialect: str, path: str, body: bytes = b'{"model":"m","messages":"0123456789"}') -> RequestFacts:
    """Of a request to that path."""
    return _REQUESTS.read(request_form(dialect, path), body)


def read(where: tuple[str, str], answer: bytes, content_type: str = JSON, **options: Any) -> Usage:
    """The usage of a whole answer."""
    reader = UsageReaders().open(facts(*where), content_type=content_type, **options)
    reader.feed(answer)
    return reader.finish()


def sse(*events: Any, done: bool = False) -> bytes:
    """A stream of these events, named by their `type` if they have one."""
    text = "".join(
        (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n" for event in events
    )
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def counts(usage: Usage) -> tuple[int | None, ...]:
    """Input, output, what the cache read and wrote, reasoning."""
    return (
        usage.tokens_in,
        usage.tokens_out,
        usage.tokens_cache_read,
        usage.tokens_cache_write,
        usage.tokens_reasoning,
    )
