"""
The same head: what differs is only in the bodies, so everything that depends on a body is found out for each of them.

Models, caches, limits, steps and streams: whatever the stages remember of a head must not hold what a body said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from services.kit.names import SpanName
from tests.fakes.tracer import NotedSpan, NotingTracer
from tests.protocol.port.conftest import Serve
from tests.protocol.port.dialogue import GATEWAY, Said, converse, echo, post
from tests.protocol.port.edges import RunningEdge, quick, until
from tests.protocol.port.provider import Provider, header_of, saying, stream
from tests.protocol.port.raw import RawAnswer
from tests.protocol.port.test_request_bodies import held_bytes
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ("gpt-x", "gpt-y", "large", "gpt-x", "small", "large", "gpt-x", "gpt-x")
"""All of one length, so that not even `Content-Length` differs."""
JSON = (b"Content-Type", b"application/json")


def chat(model: str = "gpt-x", **fields: object) -> Said:
    return post(json.dumps({"model": model, **fields}).encode(), JSON)


async def ask_all(edge: RunningEdge, said: Sequence[Said]) -> list[RawAnswer]:
    """One after the other on one connection."""
    client = await edge.connect()
    return [await client.ask(each.octets) for each in said]


async def test_each_body_has_its_own_model(edge: RunningEdge, provider: Provider) -> None:
    answers = await ask_all(edge, [chat(model) for model in MODELS])

    rows = [await edge.row(answer.get("cf-aig-log-id")) for answer in answers]
    assert [answer.get("cf-aig-model") for answer in answers] == list(MODELS)
    assert [row.model for row in rows] == list(MODELS)
    assert [json.loads(each.body)["model"] for each in provider.received] == list(MODELS)


async def test_each_body_has_its_own_place_in_the_cache(serve: Serve, provider: Provider) -> None:
    provider.turn = echo
    edge = await serve("  cache: {{ttlS: 300}}")

    answers = await ask_all(edge, [chat(model) for model in MODELS])

    statuses = ["HIT" if model in MODELS[:index] else "MISS" for index, model in enumerate(MODELS)]
    assert [answer.get("cf-aig-cache-status") for answer in answers] == statuses
    assert [json.loads(answer.body.partition(b"\r\n\r\n")[2])["model"] for answer in answers] == list(MODELS)


async def test_only_models_that_are_to_be_cached_are(serve: Serve) -> None:
    edge = await serve("  cache: {{ttlS: 300, include: {{models: ['gpt-*']}}}}")

    answers = await ask_all(edge, [chat(model) for model in ("large", "gpt-x", "large", "gpt-x", "large")])

    statuses = [answer.get("cf-aig-cache-status") for answer in answers]
    assert statuses == ["BYPASS", "MISS", "BYPASS", "HIT", "BYPASS"]


async def test_a_limit_on_a_model_counts_that_model(serve: Serve) -> None:
    edge = await serve(
        "  limits: [{{name: x, unit: requests, limit: 2, windowS: 3600, technique: fixed, match: {{model: [gpt-x]}}}}]"
    )

    answers = await ask_all(edge, [chat(model) for model in MODELS])

    spent = [MODELS[: index + 1].count("gpt-x") for index, _ in enumerate(MODELS)]
    expected = [429 if model == "gpt-x" and count > 2 else 200 for model, count in zip(MODELS, spent, strict=True)]
    assert [answer.status for answer in answers] == expected


async def test_a_limit_for_each_model_counts_each_apart(serve: Serve) -> None:
    edge = await serve(
        "  limits: [{{name: each, unit: requests, limit: 1, windowS: 3600, technique: fixed, key: [model]}}]"
    )

    answers = await ask_all(edge, [chat(model) for model in MODELS])

    expected = [429 if model in MODELS[:index] else 200 for index, model in enumerate(MODELS)]
    assert [answer.status for answer in answers] == expected


async def test_each_body_of_steps_goes_where_its_steps_say(edge: RunningEdge, provider: Provider) -> None:
    plans: list[list[dict[str, object]]] = [
        [{"provider": "openai", "endpoint": "chat/one", "headers": {"X-Key": "1"}, "query": {}}],
        [{"provider": "openai", "endpoint": "chat/two", "headers": {"X-Key": "2"}, "query": {}}],
        [{"provider": "anthropic", "endpoint": "messages", "headers": {"X": "3"}, "query": {}}],
        [{"provider": "groq", "endpoint": "x"}, {"provider": "openai", "endpoint": "three", "query": {}}],
    ]
    universal = GATEWAY.removesuffix(b"/openai/")
    said = [post(json.dumps(plan).encode().ljust(150), JSON, target=universal) for plan in plans]

    answers = await ask_all(edge, said * 2)

    assert {answer.status for answer in answers} == {200}
    lines = [each.line.split(b" ")[1] for each in provider.received]
    assert lines == [b"/v1/chat/one", b"/v1/chat/two", b"/messages", b"/v1/three"] * 2
    keys = [header_of(each, "x-key") for each in provider.received]
    assert keys == [["1"], ["2"], [], []] * 2


async def test_a_stream_and_a_whole_answer_take_turns(edge: RunningEdge, provider: Provider) -> None:
    whole = ok(
        b'{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}', b"Content-Type: " + JSON[1]
    )
    events = stream(b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n', b"data: [DONE]\n\n")

    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(events if json.loads(received.body)["stream"] else whole)

    provider.turn = turn

    answers = await ask_all(edge, [chat(stream=is_stream) for is_stream in (1, 0, 1, 1, 0, 0)])

    rows = [await edge.row(answer.get("cf-aig-log-id")) for answer in answers]
    assert [(row.tokens_in, row.tokens_out) for row in rows] == [(3, 4), (1, 2), (3, 4), (3, 4), (1, 2), (1, 2)]
    assert [answer.body.endswith(b"data: [DONE]\n\n") for answer in answers] == [True, False, True, True, False, False]


@pytest.mark.parametrize("spec", ["", "  retries: {{maxAttempts: 2}}"], ids=["streamed", "held"])
async def test_small_and_large_bodies_take_turns_and_give_all_memory_back(
    serve: Serve, provider: Provider, spec: str
) -> None:
    provider.turn = echo
    edge = await serve(spec)
    client = await edge.connect()
    for size in (10, 10, 70_000, 10, 10, 300_000, 10, 10, 65_536, 65_537, 10):
        said = post(b"x" * size, JSON)
        if spec or size <= 65_536:
            await converse(client, [said])
        else:
            assert (await client.ask(said.octets)).body.endswith(said.body)

    last = await client.ask(post(b"x" * 1_048_577, JSON).octets)

    await edge.quiet()
    assert last.status == 413
    assert await client.ended() == b""
    assert held_bytes(edge) == 0


async def test_an_answer_that_fails_once_is_tried_again_each_time(serve: Serve, provider: Provider) -> None:
    edge = await serve("  retries: {{maxAttempts: 2, delayMs: 1}}")

    async def turn(visit: Visit, received: Received) -> None:
        is_odd = len(provider.received) % 2
        await visit.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" if is_odd else ok(received.body))

    provider.turn = turn

    answers = await ask_all(edge, [chat(model) for model in MODELS])

    assert [(answer.status, answer.json()["model"]) for answer in answers] == [(200, model) for model in MODELS]
    assert len(provider.received) == 2 * len(MODELS)


REFUSED = {
    401: post(b'{"model":"m"}', JSON, (b"cf-aig-authorization", b"Bearer wrong")),
    404: post(b'{"model":"m"}', JSON, target=b"/v1/local/nowhere/openai/chat/completions"),
    400: post(b'{"model":"m"}', JSON, (b"cf-aig-max-attempts", b"many")),
    501: post(b'{"model":"m"}', JSON, target=b"/v1/local/main/compat/chat/completions"),
}


@pytest.mark.parametrize(("status", "said"), REFUSED.items())
async def test_a_request_with_a_body_that_was_refused_is_refused_again_and_the_connection_goes_on(
    serve: Serve, provider: Provider, status: int, said: Said
) -> None:
    guard = "  authentication: {{required: false, tokens: [{{name: ci, valueFrom: {{env: CI_TOKEN}}}}]}}"
    edge = await serve(guard, environment={"CI_TOKEN": "right"})
    client = await edge.connect()

    statuses = [(await client.ask(each.octets)).status for each in (said, said, chat(), said, said, chat(), chat())]

    assert statuses == [status, status, 200, status, status, 200, 200]
    assert len(provider.received) == 3


async def test_a_client_that_leaves_cancels_its_request_also_when_it_is_the_last_one_again(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()
    for _ in range(3):
        await client.ask(chat().octets)
    left = asyncio.Event()

    async def never(visit: Visit, received: Received) -> None:
        await visit.left()
        left.set()

    provider.turn = never
    await client.send(chat().octets)
    await until(lambda: len(provider.received) == 4)

    client.reset()

    async with asyncio.timeout(1):
        await left.wait()
    assert (await edge.last_row()).ended == "client_gone"


async def test_a_connection_of_requests_alike_ends_when_it_rests_too_long(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(keep_alive_s=0.4))
    client = await edge.connect()
    for _ in range(3):
        assert (await client.ask(chat().octets)).status == 200
        await asyncio.sleep(0.15)

    assert await client.ended() == b""


async def test_a_head_that_does_not_end_in_time_is_408_behind_requests_alike(serve: Serve) -> None:
    edge = await serve(port_bounds=quick(head_s=0.1))
    client = await edge.connect()
    for _ in range(3):
        await client.ask(chat().octets)

    answer = await client.ask(chat().head[:-2])

    assert (answer.status, answer.get("cf-aig-error-code")) == (408, "2005")
    assert await client.ended() == b""


class EverySecond(NotingTracer):
    """Samples every second request."""

    requests = 0

    def start(self, name: str, **rest: object) -> NotedSpan | None:
        if name == SpanName.REQUEST:
            self.requests += 1
            return None if self.requests % 2 else super().start(name, **rest)  # type: ignore[arg-type]
        return super().start(name, **rest)  # type: ignore[arg-type]


async def test_a_sampled_request_names_its_attempt_and_the_others_their_caller(
    serve: Serve, provider: Provider
) -> None:
    provider.turn = saying(ok(b"{}"))
    edge = await serve(tracer=EverySecond())
    given = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client = await edge.connect()

    for _ in range(6):
        await client.ask(post(b"{}", (b"traceparent", given), JSON).octets)

    parents = [header_of(each, "traceparent") for each in provider.received]
    assert parents == [[given.decode()], [NotedSpan.traceparent]] * 3
