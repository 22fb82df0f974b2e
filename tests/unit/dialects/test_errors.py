"""Errors in the words of the API that the client thinks it is talking to, before and inside a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dialects.errors import (
    ErrorShape,
    array_error_item,
    error_body,
    last_words,
    shape_of,
    stream_error_event,
)
from services.dialects.formats import CHAT, GENERATE
from services.dialects.frames import FrameScanner
from services.dialects.paths import format_of
from services.dialects.sse import SseScanner
from services.kit.errors import (
    BodyTooLarge,
    FirstByteTimeout,
    LimitExceeded,
    NarrowsError,
    Overloaded,
    StreamBroken,
    Unauthenticated,
    UnknownProvider,
)


@pytest.mark.parametrize(
    ("surface", "dialect", "path", "shape"),
    [
        ("universal", "", "", "plain"),
        ("management", "", "", "plain"),
        ("unified", "", "chat/completions", "openai"),
        ("unified", "", "embeddings", "openai"),
        ("unified", "", "models", "openai"),
        ("unified", "", "v1/messages", "anthropic"),
        ("native", "openai", "chat/completions", "openai"),
        ("native", "openai", "files", "openai"),
        ("native", "openai", "v1/messages", "anthropic"),
        ("native", "anthropic", "v1/messages", "anthropic"),
        ("native", "anthropic", "v1/models", "anthropic"),
        ("native", "google", "v1beta/models/g:generateContent", "google"),
        ("native", "google", "v1beta/models", "google"),
        ("native", "google", "v1beta/openai/chat/completions", "openai"),
        ("native", "azure", "r/d/chat/completions", "openai"),
        ("native", "huggingface", "gpt2", "plain"),
        ("native", "huggingface", "router/v1/chat/completions", "openai"),
        ("native", "replicate", "predictions", "plain"),
        ("native", "bedrock", "bedrock-runtime/r/model/m/invoke", "plain"),
        ("native", "cohere", "v2/chat", "plain"),
        ("native", "cohere", "compatibility/v1/chat/completions", "openai"),
        ("native", "mistral", "v1/fim/completions", "openai"),
        ("native", "mistral", "v1/conversations", "openai"),
        ("native", "openrouter", "v1/messages", "anthropic"),
        ("native", "xai", "v1/responses", "openai"),
        ("native", "xai", "v1/models", "openai"),
        ("native", "workers-ai", "@cf/meta/llama", "plain"),
        ("native", "workers-ai", "v1/chat/completions", "openai"),
        ("native", "simulator", "v1/messages", "anthropic"),
        ("native", "simulator", "chat/completions", "openai"),
        ("native", "plain", "chat/completions", "plain"),
        ("native", "", "chat/completions", "openai"),
        ("native", "", "v1/messages", "anthropic"),
        ("native", "", "v1beta/models/g:generateContent", "google"),
        ("native", "", "whatever", "plain"),
    ],
)
def test_the_shape_follows_where_the_request_went(surface: Any, dialect: str, path: str, shape: ErrorShape) -> None:
    assert shape_of(surface, dialect, path) == shape


@pytest.mark.parametrize(
    ("shape", "error", "body"),
    [
        ("plain", Unauthenticated("no token"), {"success": False, "error": [{"code": 2009, "message": "no token"}]}),
        (
            "openai",
            LimitExceeded("enough"),
            {"error": {"message": "enough", "type": "rate_limit_error", "code": "2012", "param": None}},
        ),
        (
            "openai",
            UnknownProvider("who"),
            {"error": {"message": "who", "type": "invalid_request_error", "code": "2003", "param": None}},
        ),
        (
            "openai",
            Overloaded("later"),
            {"error": {"message": "later", "type": "server_error", "code": "2101", "param": None}},
        ),
        (
            "anthropic",
            BodyTooLarge("large"),
            {"type": "error", "error": {"type": "request_too_large", "message": "large"}},
        ),
        (
            "anthropic",
            FirstByteTimeout("slow"),
            {"type": "error", "error": {"type": "timeout_error", "message": "slow"}},
        ),
        (
            "google",
            UnknownProvider("who"),
            {"error": {"code": 400, "message": "who", "status": "INVALID_ARGUMENT"}},
        ),
        ("google", LimitExceeded("x"), {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}),
    ],
)
def test_a_body_has_the_shape_and_its_words(shape: ErrorShape, error: NarrowsError, body: Any) -> None:
    assert json.loads(error_body(shape, error)) == body


BROKEN = StreamBroken("the provider's answer was cut")


@pytest.mark.parametrize(
    ("dialect", "path", "name", "payload"),
    [
        (
            "openai",
            "chat/completions",
            b"",
            {"error": {"message": BROKEN.message, "type": "server_error", "code": "2207", "param": None}},
        ),
        (
            "openai",
            "responses",
            b"error",
            {
                "type": "error",
                "code": "2207",
                "message": BROKEN.message,
                "param": None,
                "error": {"message": BROKEN.message, "type": "server_error", "code": "2207", "param": None},
            },
        ),
        (
            "anthropic",
            "v1/messages",
            b"error",
            {"type": "error", "error": {"type": "api_error", "message": BROKEN.message}},
        ),
        (
            "google",
            "v1beta/models/g:streamGenerateContent",
            b"",
            {"error": {"code": 502, "message": BROKEN.message, "status": "UNAVAILABLE"}},
        ),
        ("huggingface", "gpt2", b"", {"error": BROKEN.message, "error_type": "generation"}),
        ("replicate", "predictions", b"error", {"detail": BROKEN.message}),
        (
            "cohere",
            "v2/chat",
            b"message-end",
            {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": BROKEN.message}},
        ),
        (
            "openrouter",
            "v1/chat/completions",
            b"",
            {"error": {"message": BROKEN.message, "type": "server_error", "code": "2207", "param": None}},
        ),
        ("plain", "x", b"error", {"success": False, "error": [{"code": 2207, "message": BROKEN.message}]}),
    ],
)
def test_a_broken_stream_says_so_in_its_own_protocol(dialect: str, path: str, name: bytes, payload: Any) -> None:
    event = stream_error_event(format_of(dialect, path), BROKEN)

    (scanned,) = SseScanner().feed(event)
    assert scanned.name == name
    assert json.loads(scanned.payload) == payload


FRAMES = "application/vnd.amazon.eventstream"
LINES = "application/stream+json"


def words(dialect: str, path: str, content_type: str, *, is_mid_event: bool = False, is_stream: bool = True) -> bytes:
    return last_words(
        format_of(dialect, path),
        BROKEN,
        content_type=content_type,
        is_stream=is_stream,
        is_mid_event=is_mid_event,
        is_first=False,
    )


def test_a_broken_binary_stream_ends_with_an_exception() -> None:
    (frame,) = FrameScanner().feed(words("bedrock", "model/m/converse-stream", FRAMES))

    assert frame.is_exception
    assert json.loads(frame.payload) == {"message": BROKEN.message}


def test_half_a_frame_is_left_as_it_is() -> None:
    assert words("bedrock", "model/m/converse-stream", FRAMES, is_mid_event=True) == b""


@pytest.mark.parametrize("is_mid_event", [False, True])
def test_a_broken_stream_of_lines_ends_with_a_line(is_mid_event: bool) -> None:
    ending = words("cohere", "v1/chat", LINES, is_mid_event=is_mid_event)

    assert ending.startswith(b"\n") == is_mid_event
    fields = json.loads(ending)
    assert (fields["event_type"], fields["finish_reason"]) == ("stream-end", "ERROR")


def test_nothing_is_added_to_a_document() -> None:
    assert words("openai", "chat/completions", "application/json", is_stream=False) == b""
    assert words("google", "v1beta/models/g:generateContent", "application/json", is_stream=False) == b""


def test_half_an_event_is_ended_before_the_error() -> None:
    scanner = SseScanner()
    scanner.feed(b'data: {"half')

    events = scanner.feed(stream_error_event(format_of("openai", "chat/completions"), BROKEN, is_mid_event=True))

    assert [event.payload[:8] for event in events] == [b'{"half', b'{"error"']


@pytest.mark.parametrize(("sent", "is_first"), [(b"", True), (b'[{"candidates":[]}', False)])
def test_a_broken_array_ends_with_an_error_item(sent: bytes, is_first: bool) -> None:
    items = json.loads(sent + array_error_item(GENERATE, BROKEN, is_first=is_first))

    assert items[-1]["error"]["status"] == "UNAVAILABLE"


def test_a_form_that_streams_no_array_has_no_error_item() -> None:
    assert array_error_item(CHAT, BROKEN, is_first=False) == b""
