"""Where paths go: bases, dropped prefixes, hosts made from paths, dot segments."""

from __future__ import annotations

import pytest

from services.contracts.router.values import Base, Provider
from services.dialects.catalogue import catalogue
from services.dialects.target import has_dot_segment, resolve_target, with_base_url
from services.kit.errors import Malformed, UnknownProvider

PROVIDERS = catalogue(simulator_url="http://127.0.0.1:8790")


@pytest.mark.parametrize(
    ("provider", "path", "base_url", "rest"),
    [
        ("openai", "chat/completions", "https://api.openai.com/v1", "chat/completions"),
        ("openai", "v1/chat/completions", "https://api.openai.com/v1", "chat/completions"),
        ("openai", "v1/v1/x", "https://api.openai.com/v1", "v1/x"),
        ("replicate", "v1/predictions", "https://api.replicate.com/v1", "predictions"),
        ("groq", "openai/v1/chat/completions", "https://api.groq.com/openai/v1", "chat/completions"),
        ("groq", "chat/completions", "https://api.groq.com/openai/v1", "chat/completions"),
        ("simulator", "v1/messages", "http://127.0.0.1:8790", "messages"),
        ("anthropic", "v1/messages", "https://api.anthropic.com", "v1/messages"),
        ("mistral", "v1/chat/completions", "https://api.mistral.ai", "v1/chat/completions"),
        (
            "azure-openai",
            "my-resource/GPT-4.1/chat/completions",
            "https://my-resource.openai.azure.com/openai/deployments/GPT-4.1",
            "chat/completions",
        ),
        (
            "aws-bedrock",
            "bedrock-runtime/us-east-1/model/anthropic.claude-v2%3A1/invoke",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            "model/anthropic.claude-v2%3A1/invoke",
        ),
        (
            "google-vertex-ai",
            "v1/projects/p/locations/europe-west4/publishers/google/models/g:generateContent",
            "https://europe-west4-aiplatform.googleapis.com",
            "v1/projects/p/locations/europe-west4/publishers/google/models/g:generateContent",
        ),
        (
            "google-vertex-ai",
            "v1beta1/projects/p/locations/global/publishers/google/models/g:generateContent",
            "https://aiplatform.googleapis.com",
            "v1beta1/projects/p/locations/global/publishers/google/models/g:generateContent",
        ),
        ("huggingface", "org/model", "https://api-inference.huggingface.co/models", "org/model"),
        ("huggingface", "router/v1/chat/completions", "https://router.huggingface.co", "v1/chat/completions"),
        (
            "workers-ai",
            "@cf/meta/llama-3.1-8b-instruct",
            "https://api.cloudflare.com/client/v4/accounts/acme/ai/run",
            "@cf/meta/llama-3.1-8b-instruct",
        ),
    ],
)
def test_a_path_goes_to_its_base_url(provider: str, path: str, base_url: str, rest: str) -> None:
    target = resolve_target(PROVIDERS[provider], path, account="acme")

    assert target == (base_url, rest)


def test_octets_of_a_path_stay_as_they_came() -> None:
    path = "v1/a%2Fb/%C3%A9//\udcff?"

    assert resolve_target(PROVIDERS["openai"], path) == ("https://api.openai.com/v1", "a%2Fb/%C3%A9//\udcff?")


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("azure-openai", "evil.example/gpt-4o/chat/completions"),
        ("azure-openai", "a%2eb/gpt-4o/chat/completions"),
        ("azure-openai", "/gpt-4o/chat/completions"),
        ("azure-openai", f"{'a' * 64}/gpt-4o/chat/completions"),
        ("azure-openai", "UPPER/gpt-4o/chat/completions"),
        ("azure-openai", "only-one-part"),
        ("aws-bedrock", "bedrock-runtime/evil.example@/model/x/invoke"),
        ("aws-bedrock", "model/x/invoke"),
        ("google-vertex-ai", "v1/projects/p/locations/a.b/publishers/google/models/g:generateContent"),
        ("google-vertex-ai", "v1/models"),
    ],
)
def test_a_host_part_that_is_no_host_part_is_refused(provider: str, path: str) -> None:
    with pytest.raises(Malformed):
        resolve_target(PROVIDERS[provider], path)


def test_a_provider_without_a_base_url_is_unknown_until_it_has_one() -> None:
    with pytest.raises(UnknownProvider, match="baseURL"):
        resolve_target(PROVIDERS["baseten"], "v1/chat/completions")

    configured = with_base_url(PROVIDERS["baseten"], "https://model-x.api.baseten.co/")

    assert resolve_target(configured, "v1/x") == ("https://model-x.api.baseten.co", "v1/x")


@pytest.mark.parametrize(
    ("provider", "path", "rest"),
    [
        ("openai", "v1/chat/completions", "chat/completions"),
        ("groq", "openai/v1/models", "models"),
        ("azure-openai", "r/gpt-4o/chat/completions", "chat/completions"),
        ("aws-bedrock", "bedrock-runtime/us-east-1/model/x/invoke", "model/x/invoke"),
        ("huggingface", "router/v1/chat/completions", "v1/chat/completions"),
        ("huggingface", "gpt2", "gpt2"),
        ("workers-ai", "@cf/x/y", "@cf/x/y"),
    ],
)
def test_an_overridden_base_url_gets_the_same_rest(provider: str, path: str, rest: str) -> None:
    local = with_base_url(PROVIDERS[provider], "http://127.0.0.1:4020/v1")

    assert resolve_target(local, path) == ("http://127.0.0.1:4020/v1", rest)


def test_an_overridden_base_url_may_use_the_paths_placeholders() -> None:
    local = with_base_url(PROVIDERS["azure-openai"], "http://127.0.0.1:4020/{deployment}")

    assert resolve_target(local, "r/gpt-4o/chat/completions")[0] == "http://127.0.0.1:4020/gpt-4o"


def test_an_account_is_never_missing_from_a_url_that_needs_it() -> None:
    with pytest.raises(Malformed, match="account"):
        resolve_target(PROVIDERS["workers-ai"], "@cf/x/y")


def test_the_first_base_whose_pattern_matches_is_taken() -> None:
    provider = Provider(
        name="custom-two",
        dialect="openai",
        bases=(Base(url="http://a", pattern=r"a/(?P<rest>.*)"), Base(url="http://b")),
        key_header="authorization",
    )

    assert resolve_target(provider, "a/x") == ("http://a", "x")
    assert resolve_target(provider, "b/x") == ("http://b", "b/x")


@pytest.mark.parametrize(
    "path",
    ["..", "a/../b", "a/..", "./a", "a/%2e%2e/b", "a/.%2E", "%2e/b", "a%2f..%2fb", "a\\..\\b", "a/%2e%2e%5cb"],
)
def test_dot_segments_are_seen_plain_and_encoded(path: str) -> None:
    assert has_dot_segment(path)


@pytest.mark.parametrize("path", ["", "gpt-4.1/chat", "a/.hidden", "a/...", "a%2fb", "models/x..y", "a/..b", "%2ea"])
def test_dots_inside_a_segment_are_no_dot_segments(path: str) -> None:
    assert not has_dot_segment(path)
