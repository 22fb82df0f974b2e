"""What vendors do in ways of their own: bills that cannot be meant, keep-alives, lines, answers that may be no text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dialects.paths import format_of, model_in_path
from services.dialects.tally import Parts
from services.dialects.usage import UsageReaders
from tests.fakes.providers import vendors
from tests.unit.dialects.reading import SSE, counts, facts, read, sse

OPENROUTER = ("openrouter", "api/v1/chat/completions")
RUN = ("workers-ai", "@cf/meta/llama-3.1-8b-instruct")
COHERE_V1 = ("cohere", "v1/chat")
LINES = "application/stream+json"


def billed(usage: dict[str, Any], where: tuple[str, str] = OPENROUTER) -> int | None:
    answer = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, **usage}}
    return read(where, json.dumps(answer).encode()).stated_nanodollars


@pytest.mark.parametrize(
    ("usage", "nanodollars"),
    [
        ({"cost": 0.5}, 500_000_000),
        ({"cost": 3}, 3_000_000_000),
        ({"cost": 0}, 0),
        ({"cost": 1e-9}, 1),
        ({}, None),
        ({"cost": None}, None),
        ({"cost": "0.5"}, None),
        ({"cost": True}, None),
        ({"cost": -0.5}, None),
        ({"cost": 1e300}, None),
        ({"cost": {"total": 1}}, None),
        ({"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, 500_000_000),
        ({"cost": 0.5, "cost_details": {"upstream_inference_cost": 0.5}}, 500_000_000),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 2}}, 2_500_000_000),
        ({"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 500_000_000),
    ],
)
def test_a_bill_is_an_amount_that_can_be_meant(usage: dict[str, Any], nanodollars: int | None) -> None:
    assert billed(usage) == nanodollars


def test_each_bill_has_its_own_unit_and_place() -> None:
    assert billed({"cost_in_usd_ticks": 37_756_000}, ("xai", "v1/chat/completions")) == 3_775_600
    assert billed({"cost_in_usd_ticks": 15}, ("xai", "v1/responses")) == 2
    assert billed({"cost": {"total_cost": 0.005}}, ("perplexity", "chat/completions")) == 5_000_000
    response = {"type": "response.completed", "response": {"usage": {"input_tokens": 1, "cost": 0.25}}}
    assert read(("openrouter", "v1/responses"), sse(response), SSE).stated_nanodollars == 250_000_000


def test_a_bill_of_whom_nobody_knows_is_not_believed() -> None:
    assert billed({"cost": 0.5, "cost_in_usd_ticks": 5}, ("openai", "chat/completions")) is None


def test_a_bill_of_what_was_cut_off_is_not_the_bill() -> None:
    said = {"choices": [{"delta": {"content": "x" * 400}}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    said["usage"] |= {"cost": 0.1}

    usage = read(OPENROUTER, sse(said), SSE)

    assert (usage.source, usage.stated_nanodollars) == ("estimated", None)


def test_what_keeps_a_connection_alive_says_nothing() -> None:
    usage = vendors.deepseek_usage(9, 8, cached=5)
    whole = b"\n\n\n" + json.dumps({"usage": usage}).encode()
    stream = b": OPENROUTER PROCESSING\n\n: keep-alive\n\n" + sse({"choices": [], "usage": usage}, done=True)

    assert counts(read(("openai", "chat/completions"), whole)) == (9, 8, 5, None, 0)
    assert counts(read(OPENROUTER, stream, SSE)) == (9, 8, 5, None, 0)


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        (("openai", "chat/completions"), {"choices": [{"finish_reason": "insufficient_system_resource"}]}),
        (("mistral", "v1/chat/completions"), {"choices": [{"finish_reason": "error"}]}),
        (OPENROUTER, {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "gone"}}]}),
        (("cohere", "v2/chat"), {"finish_reason": "ERROR"}),
        (COHERE_V1, {"finish_reason": "ERROR_TOXIC"}),
        (RUN, {"success": False, "errors": [{"code": 5007}], "result": None}),
    ],
)
def test_a_whole_answer_may_say_that_it_failed(where: tuple[str, str], answer: dict[str, Any]) -> None:
    assert read(where, json.dumps(answer).encode()).is_error


def test_a_conversation_may_fail_in_its_own_words() -> None:
    usage = read(("mistral", "v1/conversations/c1"), sse({"type": "conversation.response.error", "code": 1}), SSE)

    assert usage.is_error
    assert usage.is_terminal_seen


def test_a_line_that_is_no_json_is_malformed() -> None:
    reader = UsageReaders().open(facts(*COHERE_V1), content_type=LINES)
    reader.feed(b'{"event_type":"stream-start"}\n{"event_type":')
    assert not reader.is_malformed
    assert reader.is_mid_event

    reader.feed(b"\n")

    assert reader.is_malformed
    assert not reader.is_mid_event


def test_a_last_line_that_was_cut_is_not_blamed() -> None:
    reader = UsageReaders().open(facts(*COHERE_V1), content_type=LINES)
    reader.feed(b'{"event_type":"text-generation","text":"12345678"}\n{"event_ty')

    usage = reader.finish()
    assert (usage.tokens_out, usage.source) == (16, "estimated")
    assert not reader.is_malformed


def test_a_line_beyond_its_bound_is_skipped_to_its_end() -> None:
    reader = UsageReaders().open(facts(*COHERE_V1), content_type=LINES)
    reader.feed(b'{"text":"' + b"x" * 2_000_000)
    assert reader.is_mid_event

    reader.feed(b'"}\n{"event_type":"stream-end"}\n')

    assert reader.is_terminal_seen
    assert not reader.is_malformed


def test_an_answer_that_may_be_text_is_estimated_if_it_was() -> None:
    said = read(RUN, sse({"response": "x" * 40}, {"response": "y" * 40}), SSE)
    drawn = read(RUN, json.dumps({"result": {"image": "iVBORw0KGgo="}, "success": True, "errors": []}).encode())

    assert (said.tokens_out, said.source) == (20, "estimated")
    assert (drawn.tokens_out, drawn.source) == (None, "none")


def test_parts_are_read_as_counts_and_as_lists() -> None:
    message = {"usage": {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 3}}}
    content = {
        "usageMetadata": {
            "promptTokenCount": 9,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 1},
                {"modality": "AUDIO", "tokenCount": 5},
                {"modality": "AUDIO", "tokenCount": 2},
                {"modality": "IMAGE", "tokenCount": "many"},
                None,
            ],
            "candidatesTokensDetails": {"modality": "IMAGE", "tokenCount": 7},
        }
    }

    assert read(("anthropic", "v1/messages"), json.dumps(message).encode()).parts == Parts(searches=3)
    assert read(("google", "models/g:generateContent"), json.dumps(content).encode()).parts == Parts(audio_in=7)
    assert read(("google", "models/g:generateContent"), sse(content), SSE).parts == Parts(audio_in=7)


@pytest.mark.parametrize(
    ("dialect", "path", "name"),
    [
        ("mistral", "v1/fim/completions", "mistral-chat"),
        ("mistral", "v1/agents/completions", "mistral-chat"),
        ("mistral", "v1/conversations", "mistral-conversation"),
        ("mistral", "v1/conversations/c1/restart", "mistral-conversation"),
        ("mistral", "v1/conversations/c1/messages", "other"),
        ("mistral", "v1/embeddings", "embedding"),
        ("openai", "v1/conversations", "other"),
        ("cohere", "v2/chat", "cohere-chat"),
        ("cohere", "v1/chat", "cohere-chat-v1"),
        ("cohere", "v1/generate", "cohere-generate"),
        ("cohere", "v2/rerank", "rerank"),
        ("cohere", "v1/tokenize", "plain"),
        ("openrouter", "v1/messages", "openrouter-messages"),
        ("xai", "v1/images/generations", "xai-image"),
        ("bedrock", "model/cohere.embed-english-v3/invoke", "invoke-embedding"),
        ("bedrock", "model/amazon.nova-lite-v1:0/invoke", "invoke"),
        ("bedrock", "guardrail/g/version/1/apply", "plain"),
        ("google", "v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict", "messages"),
        ("google", "v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict", "chat"),
    ],
)
def test_a_path_says_which_format_is_spoken(dialect: str, path: str, name: str) -> None:
    assert format_of(dialect, path).name == name


def test_a_model_named_by_its_arn_may_have_slashes() -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    encoded = profile.replace(":", "%3A").replace("/", "%2F")

    for written in (profile, encoded):
        assert model_in_path("bedrock", f"bedrock-runtime/us-east-1/model/{written}/converse-stream") == profile
