"""
Failures: how each provider refuses a request, and how a stream of each says that it has failed after its head.

A request names the failure it wants as it names a recording; nobody knows what such answers used.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.providers import vendors
from tests.fakes.providers.eventstream import chunk, event, exception, frames
from tests.fakes.providers.recording import CHAT, CONTENT, MESSAGE, MESSAGES, Counts, Recording
from tests.fakes.providers.server import Canned, document, events, stream
from tests.fakes.providers.shapes import CREATED, content, content_usage
from tests.fakes.providers.vendor_recordings import BEDROCK_PATH, CONVERSATION, LLAMA, SONNET_PATH, VERTEX_PATH

GEMINI_PATH = f"{VERTEX_PATH}/google/models/gemini-2.5-flash"
CLAUDE_PATH = f"{VERTEX_PATH}/anthropic/models/claude-sonnet-4-5@20250929"
NOVA_PATH = f"{BEDROCK_PATH}/amazon.nova-lite-v1%3A0"


def _said(text: str, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return {"id": "f-1", "object": "chat.completion.chunk", "created": CREATED, "choices": [choice], **more}


def _failing(provider: str, path: str, request: dict[str, Any], answer: Canned, *, name: str = "") -> Recording:
    return Recording(f"failing {name or provider}", provider, path, request, answer, Counts(None, None), "")


def _refusing(provider: str, path: str, status: int, body: dict[str, Any], **headers: str) -> Recording:
    answer = document(body, status=status, **headers)
    return Recording(f"refusing {provider}", provider, path, {**CHAT}, answer, Counts(None, None), "")


FAILING = (
    _failing(
        "cohere",
        "v2/chat",
        {"model": "command-a-03-2025", "messages": MESSAGES, "stream": True},
        vendors.cohere_stream(None, finish_reason="ERROR", error="out of memory"),
    ),
    _failing(
        "cohere",
        "v1/chat",
        {"model": "command-r7b-12-2024", "message": "Where to?", "stream": True},
        stream(
            [
                b'{"is_finished":false,"event_type":"text-generation","text":"The strait"}\n',
                b'{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR","response":{"text":""}}\n',
            ],
            "application/stream+json",
        ),
        name="cohere v1",
    ),
    _failing(
        "mistral",
        "v1/chat/completions",
        {**CHAT, "model": "mistral-small-latest", "stream": True},
        events(
            [
                _said("The strait"),
                {"object": "error", "message": "Service unavailable.", "type": "internal_server_error", "code": 3000},
            ]
        ),
    ),
    _failing(
        "groq",
        "chat/completions",
        {**CHAT, "model": "llama-3.1-8b-instant", "stream": True},
        events([_said("The strait"), _said("", x_groq={"id": "req_1", "error": "over capacity"})], done=True),
    ),
    _failing(
        "deepseek",
        "chat/completions",
        {**CHAT, "model": "deepseek-chat", "stream": True},
        events([_said("The strait"), _said("", "insufficient_system_resource")], done=True),
    ),
    _failing(
        "openrouter",
        "v1/chat/completions",
        {**CHAT, "model": "openai/gpt-4o-mini", "stream": True},
        events([_said("The strait"), _said("", "error", error={"code": 502, "message": "Provider disconnected"})]),
    ),
    _failing(
        "grok",
        "v1/chat/completions",
        {**CHAT, "model": "grok-3-mini", "stream": True},
        events([_said("The strait"), {"code": "Internal error", "error": "The service is overloaded"}]),
    ),
    _failing(
        "azure-openai",
        "harbour/pilot/chat/completions?api-version=2024-10-21",
        {"messages": MESSAGES, "stream": True},
        events([_said("The strait"), {"error": {"message": "The server had an error.", "type": "server_error"}}]),
    ),
    _failing(
        "google-vertex-ai",
        f"{GEMINI_PATH}:streamGenerateContent?alt=sse",
        CONTENT,
        events(
            [
                content("The strait", content_usage(9, 3), finish_reason=None),
                {"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}},
            ]
        ),
        name="vertex",
    ),
    _failing(
        "google-vertex-ai",
        f"{CLAUDE_PATH}:streamRawPredict",
        {**MESSAGE, "stream": True},
        events([{"type": "ping"}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]),
        name="vertex message",
    ),
    _failing(
        "aws-bedrock",
        f"{NOVA_PATH}/converse-stream",
        CONVERSATION,
        frames([event("messageStart", {"role": "assistant"}), exception("throttlingException", "slow down")]),
        name="converse",
    ),
    _failing(
        "aws-bedrock",
        f"{SONNET_PATH}/invoke-with-response-stream",
        {"messages": MESSAGES},
        frames([chunk({"type": "ping"}), exception("modelStreamErrorException", "it broke")]),
        name="invoke",
    ),
    _failing(
        "workers-ai",
        LLAMA,
        {"messages": MESSAGES, "stream": True},
        events([{"response": "The strait"}, {"errors": [{"message": "AiError: out of capacity", "code": 3040}]}]),
    ),
)
REFUSING = (
    _refusing("cohere", "v2/chat", 429, {"id": "1", "message": "You are using a Trial key, which is limited."}),
    _refusing(
        "mistral",
        "v1/chat/completions",
        422,
        {"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required", "input": {}}]},
    ),
    _refusing(
        "groq",
        "chat/completions",
        498,
        {"error": {"message": "Flex tier capacity exceeded", "type": "invalid_request_error", "code": "capacity"}},
    ),
    _refusing(
        "deepseek",
        "chat/completions",
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "param": None, "code": "invalid"}},
    ),
    _refusing(
        "openrouter",
        "v1/chat/completions",
        402,
        {"error": {"code": 402, "message": "Insufficient credits"}, "user_id": "user_1"},
    ),
    _refusing("grok", "v1/chat/completions", 400, {"code": "Client specified an invalid argument", "error": "no"}),
    _refusing(
        "azure-openai",
        "harbour/pilot/chat/completions?api-version=2024-10-21",
        400,
        {"error": {"code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    ),
    _refusing(
        "google-vertex-ai",
        f"{GEMINI_PATH}:generateContent",
        403,
        {"error": {"code": 403, "message": "Permission denied.", "status": "PERMISSION_DENIED", "details": []}},
    ),
    _refusing(
        "aws-bedrock",
        f"{NOVA_PATH}/converse",
        400,
        {"message": "The provided model identifier is invalid."},
        x_amzn_ErrorType="ValidationException:http://internal.amazon.com/coral/",
    ),
    _refusing(
        "workers-ai",
        LLAMA,
        400,
        {"result": {}, "success": False, "errors": [{"message": "AiError: no such model", "code": 5007}]},
    ),
)
