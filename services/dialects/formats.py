"""
Formats: which fields of an answer tell its model, its tokens, its text and its end.

One row per kind of body, as data. A dialect (what a provider speaks) is a set of formats told apart by path
(`paths.py`); a provider of another make with the same bodies shares the row. What vendors call the same thing
stands in one slot, in order of preference. Two habits differ and are flags: whether the input count leaves out
what the prompt cache served, and whether the output count leaves out reasoning. Adding a field is adding a path.

Here are the rows that several providers share. Those of one alone, with where their fields are documented, stand in
`bedrock.py`, `cohere.py` and `vendors.py`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ErrorShape = Literal["plain", "openai", "anthropic", "google"]

ErrorEvent = Literal["", "response", "generation", "prediction", "cohere", "cohere-v1"]
"""What a stream calls an error where that is not the error body as an event."""

Paths = tuple[str, ...]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer counts tokens."""

    input: Paths = ()
    input_beside: Paths = ()
    """Input that the provider counts beside `input`."""
    output: Paths = ()
    cache_read: Paths = ()
    cache_write: Paths = ()
    reasoning: Paths = ()
    total: Paths = ()
    audio_in: Paths = ()
    audio_out: Paths = ()
    image_in: Paths = ()
    image_out: Paths = ()
    """Parts of input and output that have prices of their own."""
    modalities_in: Paths = ()
    modalities_out: Paths = ()
    """Lists of the same parts: `{"modality": "AUDIO", "tokenCount": 5}`."""
    cache_write_long: Paths = ()
    """The part of `cache_write` that is kept for an hour."""
    cache_write_lives: Paths = ()
    """A list of the parts of `cache_write`: `{"ttl": "1h", "inputTokens": 5}`."""
    searches: Paths = ()
    """Searches of the web that the provider made for the answer: no tokens, but they have a price."""
    input_headers: tuple[bytes, ...] = ()
    output_headers: tuple[bytes, ...] = ()
    cache_read_headers: tuple[bytes, ...] = ()
    cache_write_headers: tuple[bytes, ...] = ()
    """Lower case answer headers that count when the body does not."""
    is_cache_beside: bool = False
    """`input` leaves out what the prompt cache read and wrote."""
    is_reasoning_beside: bool = False
    """`output` leaves out reasoning."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer states what it costs."""

    cost: Paths
    units_per_usd: int = 1
    beside: Paths = ()
    """What somebody else charges for the same answer, in the same units: to be added if `is_beside` is true."""
    is_beside: Paths = ()


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of answer holds. A path is dotted; `[]` goes through every item of a list."""

    name: str
    model_type: str = ""
    """As the log row has it: chat, embedding, ...; empty: nothing is metered."""
    error_shape: ErrorShape = "plain"
    error_event: ErrorEvent = ""
    model: Paths = ("model",)
    tokens: Tokens = Tokens()
    bill: Bill | None = None
    event_text: Paths = ()
    """Generated text in an event of a stream; several are added up."""
    whole_text: Paths = ()
    """Generated text in an answer that is no stream."""
    event_type: Paths = ()
    terminal_types: frozenset[str] = frozenset()
    """Values of `event_type`, or of the SSE event's name, after which nothing is missing."""
    finish: Paths = ()
    """Not null: the generation has finished."""
    is_finish_text: bool = False
    """`finish` is the text itself, which may be empty, and not a reason."""
    status: Paths = ()
    """State of work that goes on after the answer."""
    error: Paths = ("error",)
    failing: frozenset[str] = frozenset({"error"})
    """Values of `finish`, of `event_type` or of the SSE event's name by which an answer says that it failed."""
    is_text: bool = False
    """Output is text (or nothing): what the provider does not report can be estimated."""
    may_be_text: bool = False
    """Output may be text or something else: it is text if text was seen."""
    has_output: bool = True
    """False: it makes no output tokens, so none is a count of 0."""
    are_events_json: bool = True

    def __repr__(self) -> str:
        return f"Format({self.name})"


def usage_of(*roots: str, fields: Paths) -> Paths:
    """Each field under each root."""
    return tuple(f"{root}.{field}" for field in fields for root in roots)


# Where vendors of this family put the usage object: at the top, in Groq's own, in the choice (Moonshot).
_CHAT_ROOTS = ("usage", "x_groq.usage", "choices[].usage")

_CHAT_TOKENS = Tokens(
    input=usage_of(*_CHAT_ROOTS, fields=("prompt_tokens", "input_tokens")),
    output=usage_of(*_CHAT_ROOTS, fields=("completion_tokens", "output_tokens")),
    cache_read=usage_of(
        *_CHAT_ROOTS,
        fields=(
            "prompt_tokens_details.cached_tokens",
            "prompt_cache_hit_tokens",
            "cached_tokens",
            "cache_read_input_tokens",
        ),
    ),
    cache_write=usage_of(
        *_CHAT_ROOTS, fields=("prompt_tokens_details.cache_write_tokens", "cache_creation_input_tokens")
    ),
    reasoning=usage_of(*_CHAT_ROOTS, fields=("completion_tokens_details.reasoning_tokens", "reasoning_tokens")),
    total=usage_of(*_CHAT_ROOTS, fields=("total_tokens",)),
    audio_in=("usage.prompt_tokens_details.audio_tokens",),
    audio_out=("usage.completion_tokens_details.audio_tokens",),
)

# DeepSeek's word for an answer that it broke off, beside the one that most use.
_CHAT_FAILING = frozenset({"error", "insufficient_system_resource"})
# At the top, in Groq's own object, in the choice (OpenRouter).
_CHAT_ERRORS = ("error", "x_groq.error", "choices[].error")

_SAID = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")

_INPUT_OUTPUT = Tokens(
    input=("usage.input_tokens", "usage.prompt_tokens"),
    output=("usage.output_tokens", "usage.completion_tokens"),
    cache_read=("usage.input_tokens_details.cached_tokens",),
    reasoning=("usage.output_tokens_details.reasoning_tokens",),
    audio_in=("usage.input_token_details.audio_tokens",),
    image_in=("usage.input_tokens_details.image_tokens",),
    image_out=("usage.output_tokens_details.image_tokens",),
)

_RESPONSE_ROOTS = ("usage", "response.usage")
_MESSAGE_ROOTS = ("usage", "message.usage")

MESSAGE_TOKENS = Tokens(
    input=usage_of(*_MESSAGE_ROOTS, fields=("input_tokens",)),
    output=usage_of(*_MESSAGE_ROOTS, fields=("output_tokens",)),
    cache_read=usage_of(*_MESSAGE_ROOTS, fields=("cache_read_input_tokens",)),
    cache_write=usage_of(*_MESSAGE_ROOTS, fields=("cache_creation_input_tokens",)),
    cache_write_long=usage_of(*_MESSAGE_ROOTS, fields=("cache_creation.ephemeral_1h_input_tokens",)),
    searches=usage_of(*_MESSAGE_ROOTS, fields=("server_tool_use.web_search_requests",)),
    reasoning=usage_of(*_MESSAGE_ROOTS, fields=("output_tokens_details.thinking_tokens",)),
    is_cache_beside=True,
)

CHAT = Format(
    name="chat",
    model_type="chat",
    error_shape="openai",
    tokens=_CHAT_TOKENS,
    event_text=tuple(f"choices[].delta.{said}" for said in _SAID),
    whole_text=tuple(f"choices[].message.{said}" for said in _SAID),
    finish=("choices[].finish_reason",),
    error=_CHAT_ERRORS,
    failing=_CHAT_FAILING,
    is_text=True,
)
COMPLETION = Format(
    name="completion",
    model_type="completion",
    error_shape="openai",
    tokens=_CHAT_TOKENS,
    event_text=("choices[].text",),
    whole_text=("choices[].text",),
    finish=("choices[].finish_reason",),
    error=_CHAT_ERRORS,
    failing=_CHAT_FAILING,
    is_text=True,
)
EMBEDDING = Format(
    name="embedding",
    model_type="embedding",
    error_shape="openai",
    tokens=Tokens(
        input=("usage.prompt_tokens", "usage.input_tokens", "usage.total_tokens"),
        output=("usage.completion_tokens",),
    ),
    is_text=True,
    has_output=False,
)
RESPONSE = Format(
    name="response",
    model_type="response",
    error_shape="openai",
    error_event="response",
    model=("model", "response.model"),
    tokens=Tokens(
        input=usage_of(*_RESPONSE_ROOTS, fields=("input_tokens",)),
        output=usage_of(*_RESPONSE_ROOTS, fields=("output_tokens",)),
        cache_read=usage_of(*_RESPONSE_ROOTS, fields=("input_tokens_details.cached_tokens",)),
        cache_write=usage_of(*_RESPONSE_ROOTS, fields=("input_tokens_details.cache_write_tokens",)),
        reasoning=usage_of(*_RESPONSE_ROOTS, fields=("output_tokens_details.reasoning_tokens",)),
    ),
    event_text=("delta",),
    whole_text=("output[].content[].text", "output[].arguments", "output[].summary[].text"),
    event_type=("type",),
    terminal_types=frozenset({"response.completed", "response.incomplete", "response.failed", "error"}),
    status=("status",),
    error=("error", "response.error"),
    is_text=True,
)
IMAGE = Format(
    name="image",
    model_type="image",
    error_shape="openai",
    tokens=_INPUT_OUTPUT,
    event_type=("type",),
    terminal_types=frozenset({"image_generation.completed", "image_edit.completed"}),
)
AUDIO = Format(
    name="audio",
    model_type="audio",
    error_shape="openai",
    tokens=_INPUT_OUTPUT,
    event_type=("type",),
    terminal_types=frozenset({"transcript.text.done", "speech.audio.done"}),
)
MODERATION = Format(name="moderation", model_type="moderation", error_shape="openai")
RERANK = Format(
    name="rerank",
    model_type="rerank",
    tokens=Tokens(
        input=("usage.prompt_tokens", "usage.total_tokens", "meta.billed_units.input_tokens"),
    ),
    has_output=False,
)
OPENAI_OTHER = Format(name="other", error_shape="openai")
MESSAGES = Format(
    name="messages",
    model_type="chat",
    error_shape="anthropic",
    model=("model", "message.model"),
    tokens=MESSAGE_TOKENS,
    event_text=("delta.text", "delta.thinking", "delta.partial_json"),
    whole_text=("content[].text", "content[].thinking", "content[].input"),
    event_type=("type",),
    terminal_types=frozenset({"message_stop"}),
    finish=("stop_reason", "delta.stop_reason"),
    is_text=True,
)
ANTHROPIC_OTHER = Format(name="other", error_shape="anthropic")
GENERATE = Format(
    name="generate",
    model_type="chat",
    error_shape="google",
    model=("modelVersion",),
    tokens=Tokens(
        input=("usageMetadata.promptTokenCount",),
        input_beside=("usageMetadata.toolUsePromptTokenCount",),
        output=("usageMetadata.candidatesTokenCount",),
        cache_read=("usageMetadata.cachedContentTokenCount",),
        reasoning=("usageMetadata.thoughtsTokenCount",),
        modalities_in=("usageMetadata.promptTokensDetails",),
        modalities_out=("usageMetadata.candidatesTokensDetails",),
        is_reasoning_beside=True,
    ),
    event_text=("candidates[].content.parts[].text", "candidates[].content.parts[].functionCall"),
    whole_text=("candidates[].content.parts[].text", "candidates[].content.parts[].functionCall"),
    finish=("candidates[].finishReason", "promptFeedback.blockReason"),
    is_text=True,
)
GOOGLE_EMBEDDING = Format(
    name="google-embedding",
    model_type="embedding",
    error_shape="google",
    model=(),
    tokens=Tokens(
        input=("usageMetadata.promptTokenCount",),
        modalities_in=("usageMetadata.promptTokensDetails",),
    ),
    is_text=True,
    has_output=False,
)
GOOGLE_OTHER = Format(name="other", error_shape="google")
TEXT_GENERATION = Format(
    name="text-generation",
    model_type="completion",
    error_event="generation",
    tokens=Tokens(
        input=("details.input_length",),
        output=("details.generated_tokens",),
        input_headers=(b"x-prompt-tokens",),
        output_headers=(b"x-generated-tokens",),
    ),
    event_text=("token.text",),
    whole_text=("generated_text",),
    finish=("generated_text",),
    is_finish_text=True,
    is_text=True,
)
PREDICTION = Format(
    name="prediction",
    model_type="prediction",
    error_event="prediction",
    tokens=Tokens(
        input=("metrics.input_token_count",),
        output=("metrics.output_token_count",),
    ),
    whole_text=("output",),
    terminal_types=frozenset({"done"}),
    status=("status",),
    are_events_json=False,
)
PLAIN = Format(name="plain", model=(), error=())
