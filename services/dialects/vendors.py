"""
Vendors: what is theirs alone of providers whose paths and bodies are OpenAI's, and one whose are its own.

Three state in the answer what it costs. That is booked as it is, because it knows what no price per token does:
discounts, fees per request, searches, which of several hosts answered. It is read for these three only, since a field
of that name at anybody else's may be in another currency.

Sources:
- OpenRouter, "Usage Accounting": `usage.cost` in credits of one USD. With a key of one's own (`is_byok`) that is only
  the fee, and `upstream_inference_cost` is what the key's owner pays elsewhere; without one it is the same again.
- xAI, "Cost Tracking": `usage.cost_in_usd_ticks`, of which ten billion are a USD.
- Perplexity, "Chat Completions": `usage.cost.total_cost` in USD, with the fee per request in it.
- Mistral, "Chat", "FIM", "Agents", "Conversations" of its API: an event whose `object` is an error.
- Workers AI, "Text Generation" and the page of each model: the answer of a model stands in `result`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from services.dialects.formats import (
    AUDIO,
    CHAT,
    COMPLETION,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    OPENAI_OTHER,
    RESPONSE,
    Bill,
    Format,
    Paths,
    Tokens,
    usage_of,
)

_INFERENCE = (CHAT, COMPLETION, RESPONSE, MESSAGES, EMBEDDING, IMAGE, AUDIO)


def _usage(form: Format, field: str) -> Paths:
    """The field, in the usage object of an answer or of a stream of that format."""
    return usage_of("usage", "response.usage", fields=(field,)) if form is RESPONSE else (f"usage.{field}",)


def _openrouter(form: Format) -> Format:
    bill = Bill(
        cost=_usage(form, "cost"),
        beside=_usage(form, "cost_details.upstream_inference_cost"),
        is_beside=_usage(form, "is_byok"),
    )
    return replace(form, name=f"openrouter-{form.name}", bill=bill)


def _xai(form: Format) -> Format:
    bill = Bill(cost=_usage(form, "cost_in_usd_ticks"), units_per_usd=10_000_000_000)
    return replace(form, name=f"xai-{form.name}", bill=bill)


def _perplexity(form: Format) -> Format:
    return replace(form, name=f"perplexity-{form.name}", bill=Bill(cost=_usage(form, "cost.total_cost")))


def _by_name(originals: Iterable[Format], variants: Iterable[Format]) -> dict[str, Format]:
    return {original.name: variant for original, variant in zip(originals, variants, strict=True)}


_MISTRAL = tuple(replace(form, name=f"mistral-{form.name}", event_type=("object",)) for form in (CHAT, COMPLETION))

VARIANTS: Final[dict[str, dict[str, Format]]] = {
    "openrouter": _by_name(_INFERENCE, map(_openrouter, _INFERENCE)),
    "xai": _by_name(_INFERENCE, map(_xai, _INFERENCE)),
    "perplexity": _by_name(_INFERENCE, map(_perplexity, _INFERENCE)),
    "mistral": _by_name((CHAT, COMPLETION), _MISTRAL),
}
"""By dialect: the row that stands for a shared one, by that one's name. All of these dialects have OpenAI's paths."""

# Mistral's agents with a memory: not what OpenAI has under the same path.
CONVERSATION: Final = Format(
    name="mistral-conversation",
    model_type="chat",
    error_shape=OPENAI_OTHER.error_shape,
    model=("model", "outputs[].model"),
    tokens=Tokens(
        input=("usage.prompt_tokens",),
        output=("usage.completion_tokens",),
    ),
    event_text=("content", "arguments"),
    whole_text=("outputs[].content", "outputs[].arguments"),
    event_type=("type",),
    terminal_types=frozenset({"conversation.response.done", "conversation.response.error"}),
    failing=frozenset({"error", "conversation.response.error"}),
    is_text=True,
)

_RUN_ROOTS = ("result.usage", "usage")

RUN: Final = Format(
    name="run",
    model_type="chat",
    model=("result.model", "model"),
    tokens=Tokens(
        input=usage_of(*_RUN_ROOTS, fields=("prompt_tokens", "input_tokens")),
        output=usage_of(*_RUN_ROOTS, fields=("completion_tokens", "output_tokens")),
        cache_read=usage_of(*_RUN_ROOTS, fields=("prompt_tokens_details.cached_tokens",)),
        reasoning=usage_of(*_RUN_ROOTS, fields=("completion_tokens_details.reasoning_tokens",)),
    ),
    event_text=("response", "choices[].delta.content", "choices[].delta.reasoning_content"),
    whole_text=(
        "result.response",
        "result.choices[].message.content",
        "result.choices[].message.reasoning_content",
        "result.output[].content[].text",
    ),
    finish=("choices[].finish_reason", "result.choices[].finish_reason"),
    error=("error", "errors"),
    may_be_text=True,
)
