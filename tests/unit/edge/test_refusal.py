"""What Narrows refuses before it knows the gateway is still said in the client's own protocol, told by the path."""

from __future__ import annotations

import pytest

from services.edge.refusal import shape_of_target


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("/v1/acme/nowhere/openai/chat/completions", "openai"),
        ("/v1/acme/nowhere/groq/openai/v1/embeddings?x=1", "openai"),
        ("/v1/acme/nowhere/anthropic/v1/messages", "anthropic"),
        ("/v1/acme/nowhere/google-ai-studio/v1beta/models/g:generateContent", "google"),
        ("/v1/acme/nowhere/compat/chat/completions", "openai"),
        ("/v1/acme/nowhere/compat/v1/messages", "anthropic"),
        ("/openai/chat/completions", "openai"),
        ("/v1/acme/nowhere/replicate/v1/predictions", "plain"),
        ("/v1/acme/nowhere", "plain"),
        ("/v1/acme", "plain"),
        ("*", "plain"),
    ],
)
def test_the_path_tells_how_errors_look(target: str, shape: str) -> None:
    assert shape_of_target(target) == shape
