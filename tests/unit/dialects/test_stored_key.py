"""A stored key goes where its provider looks for it."""

from __future__ import annotations

import pytest

from services.dialects.catalogue import catalogue
from services.dialects.stored_key import key_header
from services.kit.errors import NotBuilt

PROVIDERS = catalogue()


@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("openai", ("authorization", "Bearer k")),
        ("anthropic", ("x-api-key", "k")),
        ("google-ai-studio", ("x-goog-api-key", "k")),
        ("azure-openai", ("api-key", "k")),
        ("fal", ("authorization", "Key k")),
        ("deepgram", ("authorization", "Token k")),
        ("elevenlabs", ("xi-api-key", "k")),
        ("aws-bedrock", ("authorization", "Bearer k")),
    ],
)
def test_a_key_is_one_header(provider: str, header: tuple[str, str]) -> None:
    assert key_header(PROVIDERS[provider], "k") == header


def test_a_pair_that_would_sign_is_not_built_yet() -> None:
    with pytest.raises(NotBuilt, match="signing"):
        key_header(PROVIDERS["aws-bedrock"], "AKID:secret")
