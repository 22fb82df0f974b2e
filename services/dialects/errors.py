"""
Errors: what Narrows says when it refuses, in the words of the API that the client thinks it is talking to.

An SDK raises its usual exceptions only for the bodies it knows, so the shape follows the path. The same
holds inside a stream: a stream that breaks after its head ends with an event that the client's own protocol
calls an error, and never as if it were whole. Hazard: a message ends up at clients; it never holds a secret,
a stack trace or a provider's url query (`services/kit/errors.py` keeps to that).
"""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from services.dialects.bodies import framing_of
from services.dialects.formats import ErrorShape, Format
from services.dialects.frames import exception_frame
from services.dialects.paths import format_of
from services.kit.errors import NarrowsError

Surface = Literal["native", "universal", "unified", "management"]

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    424: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def shape_of(surface: Surface, dialect: str = "", path: str = "") -> ErrorShape:
    """The shape of an error body, by where the request went. `path` is the one after the provider or `compat`."""
    match surface:
        case "universal" | "management":
            return "plain"
        case "unified":
            return "anthropic" if path.startswith("v1/messages") else "openai"
        case "native":
            return format_of(dialect, path).error_shape if dialect else _shape_by_path(path)
        case _:
            assert_never(surface)


def error_body(shape: ErrorShape, error: NarrowsError) -> bytes:
    """The JSON body of an error that Narrows made."""
    return body_of(shape, error.http_status, error.message, code=error.code)


def body_of(shape: ErrorShape, status: int, message: str, *, code: int) -> bytes:
    """The JSON body of an error of that HTTP status."""
    return msgspec.json.encode(_body_fields(shape, status, message, code))


def last_words(
    form: Format, error: NarrowsError, *, content_type: str, is_stream: bool, is_mid_event: bool, is_first: bool
) -> bytes:
    """
    What a stream that broke ends with, in its own framing and protocol; empty where nothing may be added.

    `is_mid_event`: the client has the beginning of an event. `is_first`: it has nothing yet.
    """
    match framing_of(content_type):
        case "events":
            return stream_error_event(form, error, is_mid_event=is_mid_event)
        case "lines":
            line = msgspec.json.encode(_fields_of(form, error)) + b"\n"
            return b"\n" + line if is_mid_event else line
        case "frames":
            # Half a frame cannot be ended: the rest of its length would be taken from what follows.
            return b"" if is_mid_event else exception_frame("modelStreamErrorException", error.message)
        case _:
            return array_error_item(form, error, is_first=is_first) if is_stream else b""


def stream_error_event(form: Format, error: NarrowsError, *, is_mid_event: bool = False) -> bytes:
    """
    The last event of a stream of server-sent events that broke, in the client's own protocol.

    `is_mid_event`: the client has the beginning of an event; that one is ended first, since half of it would
    else swallow the error.
    """
    event = _event_of(form, error)
    return b"\n\n" + event if is_mid_event else event


def array_error_item(form: Format, error: NarrowsError, *, is_first: bool) -> bytes:
    """
    The last item of a stream that is one long JSON array (Gemini's without `alt=sse`), and the array's end.

    Empty for a form whose streams are no such arrays.
    """
    if form.error_shape != "google":
        return b""
    body = body_of("google", error.http_status, error.message, code=error.code)
    return (b"[" if is_first else b",\r\n") + body + b"\n]"


def _shape_by_path(path: str) -> ErrorShape:
    """Of a provider nobody knows: its path may still tell what the client expects."""
    for dialect in ("openai", "google"):
        form = format_of(dialect, path)
        if form.model_type:
            return form.error_shape
    return "plain"


def _body_fields(shape: ErrorShape, status: int, message: str, code: int) -> dict[str, object]:
    match shape:
        case "plain":
            return {"success": False, "error": [{"code": code, "message": message}]}
        case "openai":
            return {"error": _openai_error(status, message, code)}
        case "anthropic":
            return {"type": "error", "error": _anthropic_error(status, message)}
        case "google":
            return {"error": _google_error(status, message)}
        case _:
            assert_never(shape)


def _openai_error(status: int, message: str, code: int) -> dict[str, object]:
    kind = _OPENAI_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return {"message": message, "type": kind, "code": str(code), "param": None}


def _anthropic_error(status: int, message: str) -> dict[str, object]:
    kind = _ANTHROPIC_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    return {"type": kind, "message": message}


def _google_error(status: int, message: str) -> dict[str, object]:
    name = _GOOGLE_STATUSES.get(status) or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return {"code": status, "message": message, "status": name}


def _event_of(form: Format, error: NarrowsError) -> bytes:
    """A server-sent event."""
    match form.error_event:
        case "response" | "prediction":
            name = "error"
        case "cohere":
            name = "message-end"
        case "":
            name = "error" if form.error_shape in ("anthropic", "plain") else ""
        case "generation" | "cohere-v1":
            name = ""
        case _:
            assert_never(form.error_event)
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(_fields_of(form, error)) + b"\n\n"


def _fields_of(form: Format, error: NarrowsError) -> dict[str, object]:
    """What a stream's own event says of an error; where it has none of its own, the error body."""
    status, message, code = error.http_status, error.message, error.code
    match form.error_event:
        case "response":
            # The specification has the fields at the top, the service sends them nested: SDKs look for either.
            nested = _openai_error(status, message, code)
            return {"type": "error", "code": str(code), "message": message, "param": None, "error": nested}
        case "generation":
            return {"error": message, "error_type": "generation"}
        case "prediction":
            return {"detail": message}
        case "cohere":
            return {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}
        case "cohere-v1":
            failed = {"text": "", "finish_reason": "ERROR"}
            return {"event_type": "stream-end", "is_finished": True, "finish_reason": "ERROR", "response": failed}
        case "":
            return _body_fields(form.error_shape, status, message, code)
        case _:
            assert_never(form.error_event)
