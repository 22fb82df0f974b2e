"""The universal surface: steps in order, their own headers, fallback."""

from __future__ import annotations

from tests.harness.deployment import Deployment
from tests.harness.http import post, request

CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "Hello there"}]}


def step(**more: object) -> dict[str, object]:
    return {"provider": "simulator", "endpoint": "chat/completions", "query": CHAT, **more}


def test_the_second_step_answers_when_the_first_fails(narrows: Deployment) -> None:
    steps = [step(headers={"x-simulator-status": "503"}), step(endpoint="v1/chat/completions")]

    answer = post(f"{narrows.url}/v1/local/main", steps)

    assert answer.status == 200
    assert answer.header("cf-aig-step") == "1"


def test_a_single_object_is_one_step(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/main", step())

    assert (answer.status, answer.header("cf-aig-step")) == (200, "0")


def test_a_trailing_comma_is_forgiven(narrows: Deployment) -> None:
    body = b'[{"provider": "simulator", "endpoint": "models", "query": {"model": "simulator-small",},},]'

    answer = request("POST", f"{narrows.url}/v1/local/main", {"Content-Type": "application/json"}, body)

    assert answer.header("cf-aig-error-code") is None


def test_when_all_fail_the_last_providers_own_answer_comes(narrows: Deployment) -> None:
    steps = [step(headers={"x-simulator-status": "503"}), step(headers={"x-simulator-status": "418"})]

    answer = post(f"{narrows.url}/v1/local/main", steps)

    assert (answer.status, answer.header("cf-aig-step")) == (418, "1")


def test_retries_happen_within_a_step(narrows: Deployment) -> None:
    headers = {"x-simulator-status": "503;times=2", "x-simulator-session": "retries-within-a-step"}

    answer = post(
        f"{narrows.url}/v1/local/main",
        [step(headers=headers, config={"maxAttempts": 3, "retryDelay": 1, "backoff": "constant"})],
    )

    assert (answer.status, answer.header("cf-aig-step")) == (200, "0")


def test_an_unknown_gateway_is_400_with_the_code_that_clients_read(narrows: Deployment) -> None:
    answer = post(f"{narrows.url}/v1/local/nowhere", [step()])

    assert answer.status == 400
    assert answer.json()["error"][0]["code"] == 2001  # type: ignore[index]
    assert answer.json()["success"] is False  # type: ignore[index]


def test_an_unknown_provider_is_refused_before_anything_is_forwarded(narrows: Deployment) -> None:
    session = "nothing-forwarded"
    steps = [step(headers={"x-simulator-session": session}), {"provider": "nobody", "endpoint": "x", "query": {}}]

    answer = post(f"{narrows.url}/v1/local/main", steps)
    calls = request("GET", f"{narrows.url}/v1/local/main/simulator/v1/_calls?session={session}")

    assert answer.status == 400
    assert b"chat/completions" not in calls.body


def test_a_body_that_is_no_array_of_steps_is_400(narrows: Deployment) -> None:
    for body in (b"", b"[]", b"nonsense", b'[{"endpoint": "x"}]', b'"text"'):
        answer = request("POST", f"{narrows.url}/v1/local/main", {"Content-Type": "application/json"}, body)

        assert answer.status == 400, body
