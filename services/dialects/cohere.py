"""
Cohere: the formats of its two versions, which answer alike and stream in different ways.

Version 2 streams server-sent events and says `usage` at the answer's top and in the delta of `message-end`; version 1
streams a JSON document a line and says `meta`, in a stream in the response of `stream-end`. Both count twice: what is
billed (`billed_units`) and what the model really read (`tokens`), which holds a preamble of Cohere's own. Money goes
by what is billed, so that is what counts. A stream that fails says so in its last event, by its finish reason.

Sources, all in Cohere's API reference: "Chat", "Chat with Streaming", "Embed", "Rerank" (v2), "Chat", "Chat with
Streaming", "Generate" (v1).
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.dialects.formats import RERANK, Format, Tokens, usage_of

_ROOTS = ("usage", "delta.usage", "meta", "response.meta")

_TOKENS = Tokens(
    input=usage_of(*_ROOTS, fields=("billed_units.input_tokens", "tokens.input_tokens")),
    output=usage_of(*_ROOTS, fields=("billed_units.output_tokens", "tokens.output_tokens")),
    cache_read=usage_of(*_ROOTS, fields=("cached_tokens",)),
)

CHAT: Final = Format(
    name="cohere-chat",
    model_type="chat",
    error_event="cohere",
    tokens=_TOKENS,
    event_text=(
        "delta.message.content.text",
        "delta.message.content.thinking",
        "delta.message.tool_plan",
        "delta.message.tool_calls.function.arguments",
    ),
    whole_text=(
        "message.content[].text",
        "message.content[].thinking",
        "message.tool_plan",
        "message.tool_calls[].function.arguments",
    ),
    event_type=("type",),
    terminal_types=frozenset({"message-end"}),
    finish=("delta.finish_reason", "finish_reason"),
    error=("error", "delta.error"),
    failing=frozenset({"error", "ERROR", "TIMEOUT"}),
    is_text=True,
)

CHAT_V1: Final = Format(
    name="cohere-chat-v1",
    model_type="chat",
    error_event="cohere-v1",
    tokens=_TOKENS,
    event_text=("text", "tool_call_delta.parameters"),
    whole_text=("text", "tool_calls[].parameters"),
    event_type=("event_type",),
    terminal_types=frozenset({"stream-end"}),
    finish=("finish_reason",),
    failing=frozenset({"error", "ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "USER_CANCEL"}),
    is_text=True,
)

GENERATE: Final = msgspec.structs.replace(
    CHAT_V1, name="cohere-generate", model_type="completion", whole_text=("generations[].text",)
)

EMBEDDING: Final = Format(
    name="cohere-embedding",
    model_type="embedding",
    tokens=Tokens(
        input=("meta.billed_units.input_tokens",),
    ),
    is_text=True,
    has_output=False,
)

PATHS: Final[dict[str, Format]] = {
    "v1/chat": CHAT_V1,
    "chat": CHAT,
    "generate": GENERATE,
    "embed": EMBEDDING,
    "rerank": RERANK,
}
"""By a path's last two parts, else by its last one."""
