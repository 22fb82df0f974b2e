"""Bedrock's answers as it really sends them: `converse`, and what makers of models answer through `invoke`."""

from __future__ import annotations

from typing import Any

from tests.fakes.providers.eventstream import chunk, event, frames
from tests.fakes.providers.server import Canned, document
from tests.fakes.providers.shapes import PIECES, TEXT, message_head, message_usage

Fields = dict[str, Any]


def converse_usage(tokens_in: int, tokens_out: int, *, read: int = 0, write: int = 0, write_long: int = 0) -> Fields:
    written = [{"ttl": "1h", "inputTokens": write_long}, {"ttl": "5m", "inputTokens": write - write_long}]
    return {
        "inputTokens": tokens_in,
        "outputTokens": tokens_out,
        "totalTokens": tokens_in + tokens_out + read + write,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
        "cacheDetails": written if write else [],
    }


def converse(usage: Fields) -> Canned:
    message = {"role": "assistant", "content": [{"text": TEXT}]}
    answer = {"metrics": {"latencyMs": 551}, "output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    return document(answer, x_amzn_RequestId="r-1")


def converse_stream(usage: Fields) -> Canned:
    deltas = (event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in PIECES)
    return frames(
        [
            event("messageStart", {"role": "assistant"}),
            *deltas,
            event("contentBlockStop", {"contentBlockIndex": 0}),
            event("messageStop", {"stopReason": "end_turn"}),
            event("metadata", {"metrics": {"latencyMs": 551}, "usage": usage}),
        ]
    )


def token_headers(tokens_in: int, tokens_out: int | None = None, *, read: int = 0, write: int = 0) -> dict[str, str]:
    """What the head of an `invoke` answer counts, named with underscores."""
    counts = {"input": tokens_in, "output": tokens_out, "cache_read_input": read, "cache_write_input": write}
    named = {f"x_amzn_bedrock_{name}_token_count": str(count) for name, count in counts.items() if count is not None}
    return {**named, "x_amzn_bedrock_invocation_latency": "551"}


def metrics(tokens_in: int, tokens_out: int, *, read: int = 0, write: int = 0) -> Fields:
    """The end of an `invoke` stream's last chunk."""
    return {
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": tokens_in,
            "outputTokenCount": tokens_out,
            "invocationLatency": 551,
            "firstByteLatency": 120,
            "cacheReadInputTokenCount": read,
            "cacheWriteInputTokenCount": write,
        }
    }


def claude(tokens_in: int, tokens_out: int, *, read: int) -> Canned:
    usage = message_usage(tokens_in, tokens_out, read=read)
    content = message_head(usage, content=[{"type": "text", "text": TEXT}], stop_reason="end_turn")
    return document(content, **token_headers(tokens_in, tokens_out, read=read))


def claude_stream(tokens_in: int, tokens_out: int, *, read: int) -> Canned:
    said: list[Fields] = [
        {"type": "message_start", "message": message_head(message_usage(tokens_in, 1, read=read))},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in PIECES),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens_out}},
        {"type": "message_stop", **metrics(tokens_in, tokens_out, read=read)},
    ]
    return frames(map(chunk, said))


def nova_stream(tokens_in: int, tokens_out: int) -> Canned:
    counts = {"inputTokens": tokens_in, "outputTokens": tokens_out, "cacheReadInputTokenCount": 0}
    said: list[Fields] = [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}} for piece in PIECES),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": counts, "metrics": {}, "trace": {}}, **metrics(tokens_in, tokens_out)},
    ]
    return frames(map(chunk, said))


def llama_stream(tokens_in: int, tokens_out: int) -> Canned:
    said: list[Fields] = [
        {
            "generation": piece,
            "prompt_token_count": tokens_in if index == 0 else None,
            "generation_token_count": tokens_out - len(PIECES) + index,
            "stop_reason": None,
        }
        for index, piece in enumerate(PIECES)
    ]
    said.append({"generation": "", "prompt_token_count": None, "generation_token_count": tokens_out})
    said[-1] |= {"stop_reason": "stop", **metrics(tokens_in, tokens_out)}
    return frames(map(chunk, said))


def titan(tokens_in: int, tokens_out: int) -> Canned:
    result = {"tokenCount": tokens_out, "outputText": TEXT, "completionReason": "FINISH"}
    return document({"inputTextTokenCount": tokens_in, "results": [result]}, **token_headers(tokens_in, tokens_out))


def mistral(tokens_in: int, tokens_out: int) -> Canned:
    """Counts in the head only."""
    return document({"outputs": [{"text": TEXT, "stop_reason": "stop"}]}, **token_headers(tokens_in, tokens_out))


def embedding(tokens_in: int) -> Canned:
    """As Cohere's models answer: counts in the head only."""
    return document({"id": "e-1", "embeddings": [[0.25, -0.5]]}, **token_headers(tokens_in))
