"""
Bedrock: the formats of Amazon's runtime, which has two ways to ask any model and a binary framing of its own.

`converse` has one body for all models and counts in its own words; a stream's counts come in a `metadata` event after
the `messageStop`. `invoke` passes on whatever the model's maker answers: where that counts nothing, the counts stand in
the answer's headers, in a stream in `amazon-bedrock-invocationMetrics` of the last chunk. Both leave out of the
input what the prompt cache read and wrote.

What is priced is the model that the path names (an inference profile of a region costs more than the model itself), so
what a body says of its model is not asked.

Sources, all in Amazon's documentation: "TokenUsage", "ConverseStream" and "InvokeModelWithResponseStream" of the API
reference; "Inference request parameters and response fields" of the user guide, one page a maker; "Complete request
schema" of Nova's user guide. The framing is in `frames.py`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.dialects.formats import MESSAGE_TOKENS, Format, Tokens, usage_of

CONVERSE: Final = Format(
    name="converse",
    model_type="chat",
    model=(),
    tokens=Tokens(
        input=("usage.inputTokens",),
        output=("usage.outputTokens",),
        cache_read=("usage.cacheReadInputTokens",),
        cache_write=("usage.cacheWriteInputTokens",),
        cache_write_lives=("usage.cacheDetails",),
        is_cache_beside=True,
    ),
    event_text=("delta.text", "delta.toolUse.input", "delta.reasoningContent.text"),
    whole_text=(
        "output.message.content[].text",
        "output.message.content[].toolUse",
        "output.message.content[].reasoningContent.reasoningText.text",
    ),
    finish=("stopReason",),
    is_text=True,
)

_METRICS = "amazon-bedrock-invocationMetrics"
# Nova's own bodies, whole and in a stream.
_NOVA_ROOTS = ("usage", "metadata.usage")

_INVOKE_TOKENS = Tokens(
    input=(
        *MESSAGE_TOKENS.input,
        *usage_of(*_NOVA_ROOTS, fields=("inputTokens",)),
        "usage.prompt_tokens",
        "inputTextTokenCount",
        "prompt_token_count",
        f"{_METRICS}.inputTokenCount",
    ),
    output=(
        *MESSAGE_TOKENS.output,
        *usage_of(*_NOVA_ROOTS, fields=("outputTokens",)),
        "usage.completion_tokens",
        "results[].tokenCount",
        "totalOutputTextTokenCount",
        "generation_token_count",
        f"{_METRICS}.outputTokenCount",
    ),
    cache_read=(
        *MESSAGE_TOKENS.cache_read,
        *usage_of(*_NOVA_ROOTS, fields=("cacheReadInputTokenCount", "cacheReadInputTokens")),
        f"{_METRICS}.cacheReadInputTokenCount",
    ),
    cache_write=(
        *MESSAGE_TOKENS.cache_write,
        *usage_of(*_NOVA_ROOTS, fields=("cacheWriteInputTokenCount", "cacheWriteInputTokens")),
        f"{_METRICS}.cacheWriteInputTokenCount",
    ),
    cache_write_long=MESSAGE_TOKENS.cache_write_long,
    input_headers=(b"x-amzn-bedrock-input-token-count",),
    output_headers=(b"x-amzn-bedrock-output-token-count",),
    cache_read_headers=(b"x-amzn-bedrock-cache-read-input-token-count",),
    cache_write_headers=(b"x-amzn-bedrock-cache-write-input-token-count",),
    is_cache_beside=True,
)

INVOKE: Final = Format(
    name="invoke",
    model_type="chat",
    model=(),
    tokens=_INVOKE_TOKENS,
    event_text=(
        "delta.text",
        "delta.thinking",
        "delta.partial_json",
        "contentBlockDelta.delta.text",
        "contentBlockDelta.delta.toolUse.input",
        "outputText",
        "generation",
        "outputs[].text",
        "text",
        "choices[].delta.content",
        "choices[].message.content",
        "choices[].text",
    ),
    whole_text=(
        "content[].text",
        "content[].thinking",
        "content[].input",
        "output.message.content[].text",
        "output.message.content[].toolUse",
        "results[].outputText",
        "generation",
        "outputs[].text",
        "text",
        "choices[].message.content",
        "choices[].text",
    ),
    event_type=("type", "event_type"),
    terminal_types=frozenset({"message_stop", "stream-end"}),
    finish=(
        "stop_reason",
        "delta.stop_reason",
        "messageStop.stopReason",
        "completionReason",
        "outputs[].stop_reason",
        "choices[].finish_reason",
        "choices[].stop_reason",
        "finish_reason",
    ),
    failing=frozenset({"error", "ERROR"}),
    is_text=True,
)

# What a model answers with vectors: it has no output to count, and most count their input in the headers only.
INVOKE_EMBEDDING: Final = Format(
    name="invoke-embedding",
    model_type="embedding",
    model=(),
    tokens=msgspec.structs.replace(_INVOKE_TOKENS, output=(), output_headers=()),
    is_text=True,
    has_output=False,
)

METHODS: Final[dict[str, Format]] = {
    "invoke": INVOKE,
    "invoke-with-response-stream": INVOKE,
    "converse": CONVERSE,
    "converse-stream": CONVERSE,
}
"""By a path's last part."""
