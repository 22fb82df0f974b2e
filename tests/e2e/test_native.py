"""The native surface through a whole Narrows: a provider's own path, body, status and errors."""

from __future__ import annotations

import re

from tests.harness.deployment import Deployment
from tests.harness.http import post, request

CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "Hello there"}]}


def test_a_chat_completion_comes_back_as_the_provider_said_it(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", CHAT)

    assert answer.status == 200
    assert answer.json()["object"] == "chat.completion"  # type: ignore[index]
    assert answer.header("cf-aig-provider") == "simulator"
    assert answer.header("cf-aig-model") == "simulator-small"
    assert answer.header("cf-aig-step") == "0"
    assert answer.header("cf-aig-cache-status") == "BYPASS"
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", answer.header("cf-aig-log-id") or "")
    assert answer.header("cf-aig-config-version")
    assert "gateway;dur=" in (answer.header("server-timing") or "")


def test_a_version_prefix_is_dropped_from_the_path(narrows: Deployment) -> None:
    with_prefix = post(f"{narrows.url}/v1/local/main/simulator/v1/chat/completions", CHAT)
    without = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", CHAT)

    assert with_prefix.body == without.body


def test_a_stream_ends_properly(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", {**CHAT, "stream": True})

    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.is_whole


def test_a_cut_stream_does_not_end_as_if_it_were_complete(narrows: Deployment) -> None:
    answer = post(
        f"{narrows.url}/v1/local/main/simulator/chat/completions",
        {**CHAT, "stream": True},
        {"x-simulator-cut-after": "3"},
    )

    assert not answer.is_whole
    assert b'"error"' in answer.chunks[-1]


def test_a_providers_error_is_its_own(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", CHAT, {"x-simulator-status": "418"})

    assert answer.status == 418
    assert answer.header("cf-aig-error-code") is None


def test_an_unknown_gateway_is_404_and_an_unknown_provider_400(narrows: Deployment) -> None:
    gateway = post(f"{narrows.url}/v1/local/nowhere/simulator/chat/completions", CHAT)
    provider = post(f"{narrows.url}/v1/local/main/nobody/chat/completions", CHAT)

    assert (gateway.status, provider.status) == (404, 400)
    assert gateway.header("cf-aig-log-id")
    assert gateway.header("cf-aig-error-code") == "2002"


def test_a_dot_segment_is_refused(narrows: Deployment) -> None:
    for path in ("../secret", "a/%2e%2E/b", "./x"):
        answer = request("GET", f"{narrows.url}/v1/local/main/simulator/{path}")

        assert answer.status == 400, path


def test_surfaces_that_are_not_built_answer_501(narrows: Deployment) -> None:
    compat = post(f"{narrows.url}/v1/local/main/compat/chat/completions", CHAT)
    resume = request("GET", f"{narrows.url}/v1/local/main/run/abc/resume?from=3")
    socket = request(
        "GET",
        f"{narrows.url}/v1/local/main/openai/realtime",
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )

    assert (compat.status, resume.status, socket.status) == (501, 501, 501)
    assert "error" in compat.json()  # type: ignore[operator]


def test_a_malformed_option_is_400_and_names_its_header(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", CHAT, {"cf-aig-max-attempts": "6"})

    assert answer.status == 400
    assert "cf-aig-max-attempts" in answer.text


def test_an_event_id_comes_back(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main/simulator/chat/completions", CHAT, {"cf-aig-event-id": "mine-7"})

    assert answer.header("cf-aig-event-id") == "mine-7"


def test_a_claimed_host_implies_its_gateway(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/simulator/chat/completions", CHAT, {"Host": "ai.example.test"})

    assert answer.status == 200


def test_head_has_headers_and_no_body(narrows: Deployment) -> None:
    answer = request("HEAD", f"{narrows.url}/v1/local/main/simulator/models")

    assert answer.status in (200, 405)
    assert answer.body == b""


def test_embeddings_and_messages_and_generation_have_their_own_dialects(narrows: Deployment) -> None:
    base = f"{narrows.url}/v1/local/main/simulator"
    embedding = post(f"{base}/embeddings", {"model": "simulator-small", "input": "Hello"})
    message = post(
        f"{base}/v1/messages",
        {"model": "simulator-small", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]},
    )
    generation = post(f"{base}/models/simulator-small", {"inputs": "Hello"})

    assert embedding.json()["object"] == "list"  # type: ignore[index]
    assert message.json()["type"] == "message"  # type: ignore[index]
    assert "generated_text" in generation.text
