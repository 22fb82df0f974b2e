"""
What every dialect's answers cost, read back from the log of a whole Narrows.

Answers have the shapes that providers really send, plain and gzipped, whole and streamed, ended well or not. Tokens
must be the provider's own, costs are worked out here from the price lists themselves or from the rates that an
operator declares, and what is estimated must say so.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from tests.acceptance.measured import Measured
from tests.fakes.providers import recordings, shapes
from tests.fakes.providers.failures import FAILING, REFUSING
from tests.fakes.providers.recording import CHAT, GPT, MESSAGES, Counts, Recording
from tests.fakes.providers.recordings import BY_NAME, RECORDINGS
from tests.fakes.providers.server import FakeProvider, document, serving
from tests.harness.deployment import Together
from tests.harness.http import Answer, Connection, post, request
from tests.harness.sdks import openai_client

OWN_RATES = {"tgi": (0.5, 1.5), "cog": (0.05, 0.25)}
"""USD per million tokens, in and out, as the resources below declare them."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: main}}
spec: {{providers: {providers}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: impatient}}
spec: {{providers: {providers}, timeouts: {{idleMs: 400}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: limited}}
spec:
  providers: {providers}
  limits: [{{name: one, unit: requests, limit: 1, windowS: 86400, technique: fixed}}]
---
apiVersion: narrows.dev/v1alpha1
kind: Provider
metadata: {{namespace: local, name: tgi}}
spec:
  {{baseURL: "{url}", dialect: huggingface, allowPlainHTTP: true,
   prices: {{"org/*": {{inputPerMillion: 0.5, outputPerMillion: 1.5}}}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Provider
metadata: {{namespace: local, name: cog}}
spec:
  {{baseURL: "{url}", dialect: replicate, allowPlainHTTP: true,
   prices: {{"meta/*": {{inputPerMillion: 0.05, outputPerMillion: 0.25}}}}}}
"""
CLOSE_USD = 1e-9
"""A cost is kept in whole billionths of a dollar."""

Row = dict[str, Any]


@dataclass
class Stage:
    """A Narrows whose providers are one server that answers with recordings."""

    narrows: Together
    fake: FakeProvider

    def url(self, recording: Recording, gateway: str = "main") -> str:
        return f"{self.narrows.url}/v1/local/{gateway}/{recording.provider}/{recording.path}"

    def ask(self, recording: Recording, headers: dict[str, str] | None = None, gateway: str = "main") -> Answer:
        """The recording's own request."""
        body = b"" if recording.method == "GET" else json.dumps(recording.request).encode()
        said = {"Content-Type": "application/json", "x-recording": recording.name, **recording.headers}
        return request(recording.method, self.url(recording, gateway), {**said, **(headers or {})}, body)

    def row(self, answer: Answer, gateway: str = "main") -> Row:
        """The log of the request that got this answer."""
        return self.narrows.log(answer.header("cf-aig-log-id") or "", gateway=gateway)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        fake = stack.enter_context(serving(recordings.answer, is_gzipping=True))
        names = {recording.provider for recording in RECORDINGS if not recording.provider.startswith("custom-")}
        providers = json.dumps({name: {"baseURL": fake.url} for name in sorted(names)})
        resources = RESOURCES.format(providers=providers, url=fake.url)
        narrows = stack.enter_context(Together(tmp_path_factory.mktemp("usage_and_cost"), resources=resources))
        yield Stage(narrows, fake)


def recorded_cost_usd(recording: Recording) -> float | None:
    """What the answer states, else what its tokens cost."""
    if recording.stated_usd is not None:
        return recording.stated_usd
    return cost_usd(recording.priced_as, recording.counts, recording.parts)


def cost_usd(priced_as: tuple[str, str] | None, counts: Counts, parts: dict[str, int] | None = None) -> float | None:
    """What these tokens cost, worked out from the price list itself. None: nobody knows."""
    if priced_as is None or counts.tokens_in is None or counts.tokens_out is None:
        return None
    price_list, model = priced_as
    if price_list == "own":
        rate_in, rate_out = OWN_RATES[model]
        return (counts.tokens_in * rate_in + counts.tokens_out * rate_out) / 1_000_000
    usage = Usage(
        input_tokens=counts.tokens_in,
        output_tokens=counts.tokens_out,
        cache_read_tokens=counts.tokens_cache_read,
        cache_write_tokens=counts.tokens_cache_write,
        **(parts or {}),
    )
    return float(calc_price(usage, model_ref=model, provider_id=price_list).total_price)


def is_cost(row: Row, wanted_usd: float | None) -> bool:
    found = row["cost"]
    if wanted_usd is None or found is None:
        return found is wanted_usd
    return abs(found - wanted_usd) <= CLOSE_USD


def counts_of(row: Row) -> Counts:
    return Counts(**{name: row[name] for name in asdict(Counts(None, None))})


@pytest.mark.parametrize("coding", ["plain", "gzip"])
def test_recorded_answers_are_booked_as_the_provider_counted(stage: Stage, coding: str, measured: Measured) -> None:
    accepting = {"Accept-Encoding": "gzip"} if coding == "gzip" else {}
    answers = [stage.ask(recording, accepting) for recording in RECORDINGS]

    for recording, answer in zip(RECORDINGS, answers, strict=True):
        body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
        row = stage.row(answer)
        assert body == b"".join(recording.answer.pieces), recording.name
        assert (answer.header("content-encoding") == "gzip") == (coding == "gzip"), recording.name
        assert counts_of(row) == recording.counts, recording.name
        assert is_cost(row, recorded_cost_usd(recording)), (recording.name, row["cost"])
        assert (row["model"], row["custom_cost"], row["ended"]) == (recording.model, False, "done"), recording.name
    measured(f"recorded answers booked right, {coding}", len(answers), f"== {len(RECORDINGS)}")
    priced = sum(recorded_cost_usd(recording) is not None for recording in RECORDINGS)
    measured(f"of them with a cost, {coding}", priced, ">= 50")


@pytest.mark.parametrize("coding", ["plain", "gzip"])
def test_a_stream_that_fails_in_its_own_words_comes_as_it_is_and_is_never_kept(
    stage: Stage, coding: str, measured: Measured
) -> None:
    headers = {"cf-aig-cache-ttl": "600", "Accept-Encoding": "gzip" if coding == "gzip" else "identity"}
    for failing in FAILING:
        for answer in (stage.ask(failing, headers), stage.ask(failing, headers)):
            body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
            assert body == b"".join(failing.answer.pieces), failing.name
            assert answer.header("cf-aig-cache-status") == "MISS", failing.name
            assert stage.row(answer)["ended"] == "done", failing.name
    measured(f"failed streams that were not kept, {coding}", len(FAILING), "== 13")


def test_a_refusal_comes_as_it_is_and_costs_nothing(stage: Stage, measured: Measured) -> None:
    for refusing in REFUSING:
        answer = stage.ask(refusing)

        row = stage.row(answer)
        assert (answer.status, answer.body) == (refusing.answer.status, refusing.answer.pieces[0]), refusing.name
        assert (row["success"], row["status_code"]) == (False, answer.status), refusing.name
        assert counts_of(row) == Counts(None, None, usage_source="none"), refusing.name
        assert not row["cost"], refusing.name
    measured("refusals without a cost", len(REFUSING), "== 10")


def test_a_plain_stream_of_the_openai_sdk_is_estimated(
    stage: Stage, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.fake, "override", lambda asked, url: shapes.chat_stream())
    with openai_client(f"{stage.narrows.url}/v1/local/main/openai") as client:
        answer = client.chat.completions.with_raw_response.create(**CHAT, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer.parse())
        row = stage.narrows.log(answer.headers["cf-aig-log-id"])

    counts = counts_of(row)
    assert text == shapes.TEXT
    assert stage.fake.requests[-1].json == {**CHAT, "stream": True}
    assert counts.usage_source == "estimated"
    assert counts.tokens_in
    assert counts.tokens_out
    assert is_cost(row, cost_usd(GPT, counts))
    measured("estimated tokens out of 14", counts.tokens_out, "10..20")
    measured("estimated cost in microdollars", row["cost"] * 1_000_000, "> 0")


def test_an_estimate_learns_from_what_a_model_has_counted(
    stage: Stage, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shapes.chat_usage(40, 28)
    question = {**CHAT, "model": "learner", "stream": True}
    monkeypatch.setattr(stage.fake, "override", lambda asked, url: shapes.chat_stream(usage=usage, model="learner"))
    post(stage.url(BY_NAME["chat"]), question)
    monkeypatch.setattr(stage.fake, "override", lambda asked, url: shapes.chat_stream(model="learner"))

    row = stage.row(post(stage.url(BY_NAME["chat"]), question))

    assert row["usage_source"] == "estimated"
    measured("learned tokens in of 40", row["tokens_in"], "38..42")
    measured("learned tokens out of 28", row["tokens_out"], "27..29")


def test_a_long_prompt_that_streams_through_is_estimated_whole(
    stage: Stage, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.fake, "override", lambda asked, url: shapes.chat_stream(model="reader"))
    prompt = [{"role": "user", "content": "The tide turns at six. " * 40_000}]

    row = stage.row(post(stage.url(BY_NAME["chat"]), {"model": "reader", "stream": True, "messages": prompt}))

    assert row["usage_source"] == "estimated"
    measured("estimated tokens of 230,000 in a prompt of 920 kB", row["tokens_in"], "229900..230100")


@pytest.mark.parametrize(
    ("rates", "wanted_usd"),
    [
        ({"per_token_in": 1e-6, "per_token_out": 4e-6}, 1117 * 1e-6 + 46 * 4e-6),
        ({"per_token_in": 1e-6, "per_token_out": 4e-6, "per_cache_read_token": 1e-7}, 93e-6 + 1024e-7 + 46 * 4e-6),
        ({"per_token_in": 0, "per_token_out": 0}, 0),
    ],
)
def test_a_custom_cost_holds_over_the_price_list(stage: Stage, rates: dict[str, float], wanted_usd: float) -> None:
    answer = stage.ask(BY_NAME["chat"], {"cf-aig-custom-cost": json.dumps(rates)})

    row = stage.row(answer)
    assert row["custom_cost"] is True
    assert is_cost(row, wanted_usd)
    assert not any(name.lower().startswith(b"cf-aig-") for name, _ in stage.fake.requests[-1].headers)


def test_a_custom_cost_counts_what_the_prompt_cache_keeps(stage: Stage) -> None:
    rates = {"per_token_in": 1e-6, "per_token_out": 0, "per_cache_read_token": 1e-7, "per_cache_write_token": 2e-6}

    row = stage.row(stage.ask(BY_NAME["message"], {"cf-aig-custom-cost": json.dumps(rates)}))

    assert is_cost(row, 12e-6 + 2051e-7 + 188 * 2e-6)


def test_a_custom_cost_gives_an_unknown_model_a_cost(stage: Stage) -> None:
    rates = {"per_token_in": 1e-6, "per_token_out": 2e-6}

    row = stage.row(stage.ask(BY_NAME["unknown model"], {"cf-aig-custom-cost": json.dumps(rates)}))

    assert is_cost(row, 10e-6 + 20 * 2e-6)


def test_a_custom_cost_that_cannot_be_meant_is_refused(stage: Stage) -> None:
    answer = stage.ask(BY_NAME["chat"], {"cf-aig-custom-cost": '{"per_token_in": "cheap"}'})

    assert answer.status == 400
    assert "cf-aig-custom-cost" in answer.text


def test_metadata_stands_beside_the_cost(stage: Stage, measured: Measured) -> None:
    six = {"user": "u-1", "team": "pilots", "plan": 2, "is_trial": False, "share": 0.5, "sixth": "too much"}

    row = stage.row(stage.ask(BY_NAME["chat"], {"cf-aig-metadata": json.dumps(six)}))
    nested = stage.row(stage.ask(BY_NAME["chat"], {"cf-aig-metadata": '{"user": {"id": 1}}'}))

    assert row["metadata"] == {name: six[name] for name in list(six)[:5]}
    assert not nested["metadata"]
    measured("metadata entries of 6", len(row["metadata"]), "== 5")


def test_the_step_that_answered_is_the_one_that_is_paid(stage: Stage) -> None:
    refusing = {"x-recording": "none"}
    message = BY_NAME["message stream"]
    steps = [
        {"provider": "openai", "endpoint": "chat/completions", "headers": refusing, "query": CHAT},
        {
            "provider": "anthropic",
            "endpoint": "v1/messages",
            "headers": {"x-recording": message.name, "cf-aig-metadata": '{"from": "step"}'},
            "query": message.request,
        },
    ]

    answer = post(f"{stage.narrows.url}/v1/local/main", steps)

    row = stage.row(answer)
    assert answer.header("cf-aig-step") == "1"
    assert (row["provider"], row["step"], row["metadata"]) == ("anthropic", 1, {"from": "step"})
    assert counts_of(row) == message.counts
    assert is_cost(row, cost_usd(message.priced_as, message.counts))


@pytest.mark.parametrize(
    "name",
    [
        "chat",
        "chat stream",
        "message stream",
        "content array",
        "generation stream",
        "cohere v1 stream",
        "converse stream",
        "openrouter chat",
    ],
)
@pytest.mark.parametrize("coding", ["plain", "gzip"])
def test_a_cached_answer_has_its_tokens_and_costs_nothing(stage: Stage, name: str, coding: str) -> None:
    recording = BY_NAME[name]
    headers = {"cf-aig-cache-ttl": "600", "Accept-Encoding": "gzip" if coding == "gzip" else "identity"}

    first = stage.ask(recording, headers)
    second = stage.ask(recording, headers)

    paid, free = stage.row(first), stage.row(second)
    assert [one.header("cf-aig-cache-status") for one in (first, second)] == ["MISS", "HIT"]
    assert second.body == first.body
    assert (paid["cached"], free["cached"]) == (False, True)
    assert counts_of(free) == counts_of(paid) == recording.counts
    assert is_cost(paid, recorded_cost_usd(recording))
    assert free["cost"] == 0
    assert free["model"] == paid["model"] == recording.model


def test_who_shares_a_fill_pays_nothing(stage: Stage, measured: Measured) -> None:
    url = f"{stage.narrows.url}/v1/local/main/simulator/chat/completions"
    headers = {"cf-aig-cache-ttl": "600", "x-simulator-latency-ms": "500", "x-simulator-words": "20"}
    question = {"model": "simulator-large", "messages": MESSAGES}
    answers: list[Answer] = []
    crowd = [threading.Thread(target=lambda: answers.append(post(url, question, headers))) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()

    rows = [stage.row(answer) for answer in answers]
    paid = [row for row in rows if not row["cached"]]
    assert {counts_of(row) for row in rows} == {Counts(3, 20, 0, None, 0)}
    assert is_cost(paid[0], (3 + 20) * 2 / 1_000_000)
    assert all(row["cost"] == 0 for row in rows if row["cached"])
    measured("paid of 8 who asked the same at once", len(paid), "== 1")


def test_an_answer_that_is_an_error_costs_nothing(
    stage: Stage, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [stage.ask(BY_NAME["chat"], {"x-recording": "nothing of that name"})]
    stage.ask(BY_NAME["chat"], gateway="limited")
    refusals.append(stage.ask(BY_NAME["chat"], gateway="limited"))
    for status in (400, 429, 500, 529):
        refusal = document({"error": {"message": f"refused with {status}"}}, status=status)
        monkeypatch.setattr(stage.fake, "override", lambda asked, url, refusal=refusal: refusal)
        refusals += [stage.ask(BY_NAME[name]) for name in ("chat", "message stream", "content", "generation")]

    rows = [stage.row(answer, "limited" if index == 1 else "main") for index, answer in enumerate(refusals)]
    for row in rows:
        assert counts_of(row) == Counts(None, None, usage_source="none"), row
        assert not row["cost"], row
        assert row["success"] is False
    measured("errors without a cost", len(rows), f"== {len(refusals)}")


BROKEN: dict[str, Counts] = {
    "chat stream": Counts(None, None, usage_source="estimated"),
    "response stream": Counts(None, None, usage_source="estimated"),
    "generation stream": Counts(None, None, usage_source="estimated"),
    "message stream": Counts(925, None, 900, 0, usage_source="estimated"),
    "content events": Counts(9, 12 + 33, None, None, 33),
    "cohere stream": Counts(None, None, usage_source="estimated"),
    "cohere v1 stream": Counts(None, None, usage_source="estimated"),
    "azure stream": Counts(None, None, usage_source="estimated"),
    "vertex message stream": Counts(726, None, 700, 0, usage_source="estimated"),
    "converse stream": Counts(None, None, usage_source="estimated"),
    "invoke stream of Claude": Counts(818, None, 800, 0, usage_source="estimated"),
    "workers ai stream": Counts(None, None, usage_source="estimated"),
}
"""Streams, and what their providers have told when half of them has come."""
LAST_WORDS = {
    "chat stream": b'data: {"error":',
    "message stream": b"event: error\ndata: ",
    "cohere stream": b'"delta":{"finish_reason":"ERROR"',
    "cohere v1 stream": b'"event_type":"stream-end","is_finished":true,"finish_reason":"ERROR"',
    "azure stream": b'data: {"error":',
    "vertex message stream": b"event: error\ndata: ",
    "converse stream": b":exception-type\x07\x00\x19modelStreamErrorException",
    "invoke stream of Claude": b":exception-type\x07\x00\x19modelStreamErrorException",
}
"""How a stream says, in its own words, that it broke."""


@pytest.mark.parametrize("ended", ["cut", "stalled", "client_gone"])
def test_a_stream_that_ends_early_is_booked(
    stage: Stage, ended: str, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.fake, "is_stalling", ended != "cut")
    for name, told in BROKEN.items():
        recording = BY_NAME[name]
        monkeypatch.setattr(stage.fake, "pieces_max", len(recording.answer.pieces) // 2)

        end, row = interrupted(stage, recording, is_leaving=ended == "client_gone")

        if ended != "client_gone":
            assert LAST_WORDS.get(name, b"error") in end, (name, end)
        counts = counts_of(row)
        assert (row["ended"], row["success"]) == (ended, False), name
        assert counts.tokens_in, name
        assert counts.tokens_out, name
        wanted = {slot: count for slot, count in asdict(told).items() if count is not None}
        assert asdict(counts) | wanted == asdict(counts), name
        assert is_cost(row, cost_usd(recording.priced_as, counts)), name
    measured(f"streams booked that ended as {ended}", len(BROKEN), "== 12")


def interrupted(stage: Stage, recording: Recording, *, is_leaving: bool) -> tuple[bytes, Row]:
    """What follows the half of a stream that comes, and the log. `is_leaving`: the client closes when it has it."""
    half = b"".join(recording.answer.pieces[: len(recording.answer.pieces) // 2])
    gateway = "main" if is_leaving else "impatient"
    headers = {"Content-Type": "application/json", "x-recording": recording.name}
    with Connection(stage.narrows.url) as connection:
        path = f"/v1/local/{gateway}/{recording.provider}/{recording.path}"
        connection.send("POST", path, headers, json.dumps(recording.request).encode())
        answer = connection.head()
        for chunk in connection.chunks(answer):
            answer.chunks.append(chunk)
            if is_leaving and answer.body == half:
                break
    assert answer.body.startswith(half)
    assert not answer.is_whole
    return answer.body.removeprefix(half), stage.row(answer, gateway)
