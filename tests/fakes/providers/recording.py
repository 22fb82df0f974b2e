"""A recording: one exchange with a provider, and what a provider that counted so means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fakes.providers.server import Canned

MESSAGES = [{"role": "user", "content": "Where to?"}]
CHAT = {"model": "gpt-5-mini", "messages": MESSAGES}
CHAT_STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 256, "messages": MESSAGES}
CONTENT = {"contents": [{"role": "user", "parts": [{"text": "Where to?"}]}]}
GPT = ("openai", "gpt-5-mini")
CLAUDE = ("anthropic", "claude-sonnet-4-5")
GEMINI = ("google", "gemini-2.5-flash")


@dataclass(frozen=True)
class Counts:
    """Tokens, in the names of a log."""

    tokens_in: int | None
    tokens_out: int | None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_reasoning: int | None = None
    usage_source: Literal["provider", "estimated", "none"] = "provider"


@dataclass(frozen=True)
class Recording:
    """
    One exchange. `model`: as logged.

    `priced_as`: the price list and model that hold, `parts`: what the list prices apart, in its own names;
    `stated_usd`: the cost that the answer states. Neither: no price is known.
    """

    name: str
    provider: str
    path: str
    request: dict[str, Any]
    answer: Canned
    counts: Counts
    model: str
    priced_as: tuple[str, str] | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    stated_usd: float | None = None
