"""Libraries: what the providers' own SDKs make of a stream that breaks. They read the array of Gemini as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tests.fakes.faults import Telling
from tests.fakes.providers.recording import MESSAGES
from tests.fakes.providers.streams import ANTHROPIC, CHAT, GEMINI, RESPONSES, TGI, Spoken
from tests.harness.sdks import anthropic_client, google_client, huggingface_client, openai_client
from tests.streams.stage import GATEWAY, Stage


@dataclass(frozen=True)
class Library:
    """One call of one SDK. `base`: what is appended to the gateway's URL for it."""

    spoken: Spoken
    client: Callable[[str], AbstractContextManager[Any]]
    base: str
    stream: Callable[[Any], Iterable[object]]


LIBRARIES = (
    Library(
        CHAT,
        openai_client,
        "openai",
        lambda client: client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True),
    ),
    Library(
        RESPONSES,
        openai_client,
        "openai",
        lambda client: client.responses.create(model="gpt-5-mini", input="Where to?", stream=True),
    ),
    Library(
        ANTHROPIC,
        anthropic_client,
        "anthropic",
        lambda client: client.messages.create(model="claude-sonnet-5", max_tokens=64, messages=MESSAGES, stream=True),
    ),
    Library(
        GEMINI,
        google_client,
        "google-ai-studio",
        lambda client: client.models.generate_content_stream(model="gemini-2.5-flash", contents="Where to?"),
    ),
    Library(
        TGI,
        huggingface_client,
        "huggingface/gpt2",
        lambda client: client.text_generation("Where to?", stream=True, details=True),
    ),
)


def raised(stage: Stage, library: Library, telling: Telling) -> tuple[int, str]:
    """How many events came before the SDK raised an exception, and what that says; empty if it took it for whole."""
    stage.say(telling, library.spoken)
    heard = 0
    with library.client(f"{stage.narrows.url}/v1/local/{GATEWAY}/{library.base}") as client:
        try:
            for _ in library.stream(client):
                heard += 1
        except Exception as error:  # noqa: BLE001 - each library has a tree of its own
            return heard, str(error)
    return heard, ""
