"""Limits, the cache, tokens and logs through a whole Narrows."""

from __future__ import annotations

import json
import uuid

from tests.harness.deployment import Deployment
from tests.harness.http import post

CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "Hello there"}]}


def asked(text: str) -> dict[str, object]:
    return {"model": "simulator-small", "messages": [{"role": "user", "content": text}]}


def test_the_sixth_request_of_five_is_429_with_the_headers_that_say_when(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/limited/simulator/chat/completions"

    answers = [post(url, CHAT) for _ in range(6)]

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[0].header("ratelimit-policy") == '"five";q=5;w=3600'
    assert (answers[0].header("ratelimit") or "").startswith('"five";r=')
    assert int(answers[5].header("retry-after") or 0) > 0
    assert "r=0" in (answers[5].header("ratelimit") or "")
    assert answers[5].json()["error"]["code"] == "2012"  # type: ignore[index]


def test_a_keyed_limit_counts_each_key_apart(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/per-user/simulator/chat/completions"
    statuses = {}
    for user in ("ada", "bob"):
        metadata = {"cf-aig-metadata": json.dumps({"user": f"{user}-{uuid.uuid4()}"})}
        statuses[user] = [post(url, CHAT, metadata).status for _ in range(3)]

    assert statuses == {"ada": [200, 200, 429], "bob": [200, 200, 429]}


def test_the_same_question_is_answered_from_the_cache_byte_for_byte(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/cached/simulator/chat/completions"
    question = asked(str(uuid.uuid4()))

    first, second = post(url, question), post(url, question)

    assert (first.header("cf-aig-cache-status"), second.header("cf-aig-cache-status")) == ("MISS", "HIT")
    assert first.body == second.body


def test_a_stream_is_replayed_from_the_cache_in_its_own_chunks(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/cached/simulator/chat/completions"
    question = {**asked(str(uuid.uuid4())), "stream": True}

    first, second = post(url, question), post(url, question)

    assert second.header("cf-aig-cache-status") == "HIT"
    assert first.body == second.body
    assert second.is_whole


def test_callers_with_different_keys_do_not_share_answers(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/cached/simulator/chat/completions"
    question = asked(str(uuid.uuid4()))

    first = post(url, question, {"Authorization": "Bearer one"})
    second = post(url, question, {"Authorization": "Bearer two"})

    assert [answer.header("cf-aig-cache-status") for answer in (first, second)] == ["MISS", "MISS"]


def test_a_request_can_ask_for_the_cache_and_skip_it(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/main/simulator/chat/completions"
    question = asked(str(uuid.uuid4()))

    asking = [post(url, question, {"cf-aig-cache-ttl": "60"}).header("cf-aig-cache-status") for _ in range(2)]
    skipping = post(url, question, {"cf-aig-cache-ttl": "60", "cf-aig-skip-cache": "true"})

    assert asking == ["MISS", "HIT"]
    assert skipping.header("cf-aig-cache-status") == "BYPASS"


def test_a_gateway_token_is_wanted_and_checked(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/guarded/simulator/chat/completions"

    without = post(url, CHAT)
    wrong = post(url, CHAT, {"cf-aig-authorization": "Bearer wrong"})
    right = post(url, CHAT, {"cf-aig-authorization": "Bearer let-me-in"})

    assert (without.status, wrong.status, right.status) == (401, 401, 200)
    assert without.header("cf-aig-error-code") == "2009"


def test_a_request_is_in_the_log_with_tokens_cost_and_bodies(narrows: Deployment) -> None:
    answer = post(
        f"{narrows.url}/v1/local/main/simulator/chat/completions",
        CHAT,
        {"cf-aig-metadata": '{"team": "search"}', "cf-aig-event-id": "e-1"},
    )

    row = narrows.log(answer.header("cf-aig-log-id") or "")

    usage = answer.json()["usage"]  # type: ignore[index]
    assert row["tokens_in"] == usage["prompt_tokens"]
    assert row["tokens_out"] == usage["completion_tokens"]
    assert row["usage_source"] == "provider"
    assert row["cost"] == (usage["prompt_tokens"] + usage["completion_tokens"]) / 1_000_000
    assert (row["status_code"], row["success"], row["cached"], row["ended"]) == (200, True, False, "done")
    assert row["metadata"] == {"team": "search"}


def test_a_cached_answer_costs_nothing_and_keeps_its_tokens(narrows: Deployment) -> None:
    url = f"{narrows.url}/v1/local/cached/simulator/chat/completions"
    question = asked(str(uuid.uuid4()))
    post(url, question)

    row = narrows.log(post(url, question).header("cf-aig-log-id") or "", gateway="cached")

    assert (row["cached"], row["cost"]) == (True, 0)
    assert row["tokens_in"]
