"""The catalogue: every provider of the wire specification, with its key header."""

from __future__ import annotations

import re

from services.dialects.catalogue import DIALECTS, PRICE_LISTS, catalogue

KEY_HEADERS = {
    "openai": "authorization",
    "anthropic": "x-api-key",
    "google-ai-studio": "x-goog-api-key",
    "google-vertex-ai": "authorization",
    "azure-openai": "api-key",
    "aws-bedrock": "authorization",
    "huggingface": "authorization",
    "replicate": "authorization",
    "groq": "authorization",
    "mistral": "authorization",
    "cohere": "authorization",
    "perplexity-ai": "authorization",
    "deepseek": "authorization",
    "cerebras": "authorization",
    "grok": "authorization",
    "openrouter": "authorization",
    "fireworks": "authorization",
    "baseten": "authorization",
    "parallel": "x-api-key",
    "fal": "authorization",
    "ideogram": "api-key",
    "cartesia": "x-api-key",
    "deepgram": "authorization",
    "elevenlabs": "xi-api-key",
    "workers-ai": "authorization",
}


def test_every_provider_is_there_with_its_key_header() -> None:
    providers = catalogue()

    assert {name: provider.key_header for name, provider in providers.items()} == KEY_HEADERS


def test_the_simulator_is_known_only_when_its_address_is() -> None:
    assert "simulator" not in catalogue()

    simulator = catalogue(simulator_url="http://127.0.0.1:9/")["simulator"]

    assert simulator.bases[0].url == "http://127.0.0.1:9"
    assert simulator.is_private_allowed


def test_a_client_may_bring_its_key_where_the_provider_reads_it() -> None:
    providers = catalogue()

    assert providers["anthropic"].client_key_headers == ("x-api-key", "authorization")
    assert providers["google-ai-studio"].client_key_query == "key"
    assert all(provider.key_header in provider.client_key_headers for provider in providers.values())


def test_rows_are_whole() -> None:
    providers = catalogue(simulator_url="http://127.0.0.1:9")

    for provider in providers.values():
        assert provider.dialect in DIALECTS
        for base in provider.bases:
            assert not base.url.endswith("/")
            assert not base.pattern or "rest" in re.compile(base.pattern).groupindex
    assert set(PRICE_LISTS) <= set(providers)
