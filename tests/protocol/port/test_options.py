"""Options: every `cf-aig-*` request header does what it says, stops here, and is refused when it is malformed."""

from __future__ import annotations

import json

import pytest

from tests.protocol.port.conftest import Serve
from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.provider import Provider, header_of, headers_of, saying
from tests.protocol.port.raw import RawAnswer, post, request
from tests.protocol.upstream.scripted import ok

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
BODY = b'{"model":"gpt-x","messages":[{"content":"hello"}]}'
USAGE = ok(
    b'{"model":"gpt-x-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}',
    b"Content-Type: application/json",
)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

MALFORMED = [
    b"cf-aig-skip-cache: perhaps",
    b"cf-aig-cache-ttl: 59",
    b"cf-aig-cache-ttl: 2592001",
    b"cf-aig-cache-ttl: soon",
    b"cf-aig-cache-ttl: -1",
    b"cf-aig-request-timeout: 1.5",
    b"cf-aig-request-timeout: 0",
    b"cf-aig-max-attempts: 6",
    b"cf-aig-max-attempts: 0",
    b"cf-aig-retry-delay: 5001",
    b"cf-aig-backoff: quadratic",
    b"cf-aig-collect-log: yes",
    b"cf-aig-collect-log-payload: no",
    b"cf-aig-custom-cost: free",
    b'cf-aig-custom-cost: {"per_token_in":1}',
    b'cf-aig-custom-cost: {"per_token_in":"1","per_token_out":1}',
    b"cf-aig-custom-cost: \xff",
    b"cf-aig-custom-cost: " + b"[" * 9_000,
    b"cf-cache-ttl: 5",
    b"cf-skip-cache: 1",
]


@pytest.mark.parametrize("header", MALFORMED, ids=lambda header: header[:40].decode("latin-1"))
async def test_a_malformed_option_is_400_and_named(edge: RunningEdge, provider: Provider, header: bytes) -> None:
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY, header))

    name = header.partition(b":")[0].decode().replace("cf-cache", "cf-aig-cache").replace("cf-skip", "cf-aig-skip")
    assert answer.status == 400
    assert name in answer.json()["error"]["message"]
    assert provider.received == []
    row = await edge.row(answer.get("cf-aig-log-id"))
    assert (row.status_code, row.ended, row.error_code) == (400, "refused", 2004)


async def test_options_stop_at_the_gateway(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    await client.ask(post(CHAT, BODY, b"cf-aig-unheard-of: x", b"CF-AIG-Event-Id: e", b"cf-skip-cache: true"))

    assert not [name for name, _ in headers_of(provider.last) if name.lower().startswith("cf-")]


METADATA = {
    '{"user":"ada","n":1,"f":1.5,"t":true}': {"user": "ada", "n": 1, "f": 1.5, "t": True},
    '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}': {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
    '{"a":{"nested":1}}': {},
    "not json": {},
    "[1]": {},
    '{"a":null}': {},
    "[" * 9_000: {},
}


@pytest.mark.parametrize(("given", "kept"), METADATA.items(), ids=lambda each: str(each)[:30])
async def test_metadata_is_kept_as_far_as_it_is_flat(edge: RunningEdge, given: str, kept: dict[str, object]) -> None:
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY, b"cf-aig-metadata: " + given.encode()))

    row = await edge.row(answer.get("cf-aig-log-id"))
    assert answer.status == 200
    assert json.loads(row.metadata or "{}") == kept


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (post(CHAT, BODY, b"cf-aig-event-id: e-1"), 200),
        (post("/v1/local/main/groq/x", BODY, b"cf-aig-event-id: e-1"), 502),
        (post("/v1/local/main/compat/x", BODY, b"cf-aig-event-id: e-1"), 501),
        (
            post(
                "/v1/local/main", b'[{"provider":"groq","endpoint":"x","headers":{"cf-aig-event-id":"e-1"},"query":{}}]'
            ),
            502,
        ),
    ],
)
async def test_the_event_id_is_returned_and_kept_on_answers_and_refusals(
    edge: RunningEdge, content: bytes, status: int
) -> None:
    client = await edge.connect()

    answer = await client.ask(content)

    assert answer.status == status
    assert answer.get("cf-aig-event-id") == "e-1"
    assert (await edge.row(answer.get("cf-aig-log-id"))).event_id == "e-1"


async def test_a_custom_cost_is_what_the_request_costs(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(USAGE)
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY, b'cf-aig-custom-cost: {"per_token_in":0.001,"per_token_out":0.01}'))

    row = await edge.row(answer.get("cf-aig-log-id"))
    assert (row.tokens_in, row.tokens_out, row.usage_source) == (10, 5, "provider")
    assert (row.cost_nanodollars, row.custom_cost) == (60_000_000, True)


LOGGING = {
    "asked off": ("", b"cf-aig-collect-log: false", False, False),
    "asked on": ("  logs: {{collect: false}}", b"cf-aig-collect-log: true", True, True),
    "without payload": ("", b"cf-aig-collect-log-payload: false", True, False),
    "off": ("  logs: {{collect: false}}", b"X-Nothing: 1", False, False),
    "payloads off": ("  logs: {{payloads: false}}", b"cf-aig-collect-log-payload: true", True, False),
}


@pytest.mark.parametrize(("spec", "header", "has_row", "has_body"), LOGGING.values(), ids=LOGGING.keys())
@pytest.mark.parametrize("size", [10, 100_000], ids=["held", "streamed"])
async def test_logging_is_the_gateways_unless_the_request_says_otherwise(
    serve: Serve, spec: str, header: bytes, has_row: bool, has_body: bool, size: int
) -> None:
    edge = await serve(spec)
    client = await edge.connect()

    await client.ask(post(CHAT, b'{"x":"%b"}' % (b"y" * size), header))
    await edge.quiet()
    await edge.edge.spool.drain(1)

    assert len(edge.rows) == has_row
    assert [(body.request[:6], body.response) for body in edge.bodies] == [('{"x":"', '{"ok":1}')] * has_body


async def test_a_traceparent_goes_on_and_names_the_row(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    given = f"00-{TRACE}-{SPAN}-01"

    answer = await client.ask(post(CHAT, BODY, b"traceparent: " + given.encode(), b"tracestate: a=b"))

    assert header_of(provider.last, "traceparent") == [given]
    assert header_of(provider.last, "tracestate") == ["a=b"]
    assert (await edge.row(answer.get("cf-aig-log-id"))).trace_id == TRACE


@pytest.mark.parametrize(
    ("trace", "span", "forwarded"),
    [
        (TRACE, SPAN, [f"00-{TRACE}-{SPAN}-01"]),
        (TRACE.upper(), SPAN, [f"00-{TRACE}-{SPAN}-01"]),
        ("g" * 32, SPAN, []),
        ("0" * 32, SPAN, []),
        (TRACE[:-1], SPAN, []),
    ],
)
async def test_a_trace_may_come_as_two_ids(
    edge: RunningEdge, provider: Provider, trace: str, span: str, forwarded: list[str]
) -> None:
    client = await edge.connect()

    await client.ask(
        post(CHAT, BODY, f"cf-aig-otel-trace-id: {trace}".encode(), f"cf-aig-otel-parent-span-id: {span}".encode())
    )

    assert header_of(provider.last, "traceparent") == forwarded


async def cache_status(edge: RunningEdge, *headers: bytes) -> str | None:
    client = await edge.connect()
    answer: RawAnswer = await client.ask(post(CHAT, BODY, *headers))
    return answer.get("cf-aig-cache-status")


async def test_the_cache_is_the_gateways_unless_the_request_says_otherwise(serve: Serve) -> None:
    edge = await serve("  cache: {{ttlS: 300}}")

    statuses = [
        await cache_status(edge),
        await cache_status(edge),
        await cache_status(edge, b"cf-aig-skip-cache: true"),
        await cache_status(edge, b"cf-skip-cache: true"),
        await cache_status(edge, b"cf-aig-cache-ttl: 0"),
        await cache_status(edge, b"cf-aig-cache-key: mine"),
        await cache_status(edge, b"cf-aig-cache-key: mine"),
    ]

    assert statuses == ["MISS", "HIT", "BYPASS", "BYPASS", "BYPASS", "MISS", "HIT"]


async def test_a_cache_key_alone_turns_the_cache_on(edge: RunningEdge) -> None:
    key = b"cf-aig-cache-key: turned-on"

    statuses = [await cache_status(edge), await cache_status(edge, key), await cache_status(edge, key)]

    assert statuses == ["BYPASS", "MISS", "HIT"]


async def test_attempts_are_as_many_as_the_request_asks(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\nRetry-After: 0\r\n\r\n{}")
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY, b"cf-aig-max-attempts: 3", b"cf-aig-retry-delay: 1"))

    assert answer.status == 503
    assert "cf-aig-error-code" not in answer
    assert len(provider.received) == 3
    assert (await edge.row(answer.get("cf-aig-log-id"))).attempts == 3


async def test_attempts_that_all_fail_are_counted_in_the_row(edge: RunningEdge) -> None:
    client = await edge.connect()

    answer = await client.ask(post("/v1/local/main/groq/x", BODY, b"cf-aig-max-attempts: 2", b"cf-aig-retry-delay: 1"))

    assert answer.status == 502
    assert (await edge.row(answer.get("cf-aig-log-id"))).attempts == 2


async def test_a_request_timeout_is_504(edge: RunningEdge, provider: Provider) -> None:
    async def never(visit: object, received: object) -> None:
        await visit.left()  # type: ignore[attr-defined]  # a Visit

    provider.turn = never
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY, b"cf-aig-request-timeout: 50"))

    assert answer.status == 504
    assert answer.get("cf-aig-error-code") == "2205"


async def test_an_answer_says_who_gave_it(edge: RunningEdge) -> None:
    client = await edge.connect()

    answer = await client.ask(post(CHAT, BODY))

    shown = {name: answer.get(name) for name in ("cf-aig-step", "cf-aig-provider", "cf-aig-model")}
    assert shown == {"cf-aig-step": "0", "cf-aig-provider": "openai", "cf-aig-model": "gpt-x"}
    assert answer.get("cf-aig-config-version") == edge.edge.configuration.version
    assert "retry-after" not in answer


async def test_limits_are_shown_on_answers_and_refusals(serve: Serve) -> None:
    edge = await serve(
        "  limits:\n"
        "    - {{name: wide, unit: requests, limit: 100, windowS: 3600, technique: fixed}}\n"
        "    - {{name: two, unit: requests, limit: 2, windowS: 3600, technique: fixed}}"
    )
    client = await edge.connect()

    answers = [await client.ask(request(CHAT)) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert {answer.get("ratelimit-policy") for answer in answers} == {'"wide";q=100;w=3600, "two";q=2;w=3600'}
    assert '"two";r=0;' in (answers[2].get("ratelimit") or "")
    assert '"wide";r=' in (answers[2].get("ratelimit") or "")
    assert int(answers[2].get("retry-after") or 0) >= 1
    assert "retry-after" not in answers[0]
