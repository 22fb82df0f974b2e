"""
Stored keys: the provider gets the operator's key where the client brought none, and nobody else ever sees it.

docs/wire.md section 10: a stored key goes into the provider's own header, only when the client sent none; which one it
is says `cf-aig-byok-alias`. An edge that has no keys right now says so, with 503, instead of calling without one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.kit.rpc.link import Conversations, Peer, Session
from services.kit.secret import Secret
from tests.protocol.port.conftest import Serve, gateway_document
from tests.protocol.port.edges import RunningEdge, running_edge, until
from tests.protocol.port.provider import Provider, header_of, headers_of, saying
from tests.protocol.port.raw import RawAnswer, post, request
from tests.protocol.upstream.scripted import Received, Visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"FIRST": "sk-first-4f1c", "SECOND": "sk-second-9b2e", "PAIR": "AKIA:secret-51d0"}
KEYS = "keys: [{{{{valueFrom: {{{{env: FIRST}}}}}}}}, {{{{alias: second, valueFrom: {{{{env: SECOND}}}}}}}}]"
BARE = {
    "openai": ("authorization", "Bearer "),
    "anthropic": ("x-api-key", ""),
    "google-ai-studio": ("x-goog-api-key", ""),
    "azure-openai": ("api-key", ""),
    "aws-bedrock": ("authorization", "Bearer "),
    "huggingface": ("authorization", "Bearer "),
    "fal": ("authorization", "Key "),
    "parallel": ("x-api-key", ""),
    "ideogram": ("api-key", ""),
    "deepgram": ("authorization", "Token "),
    "elevenlabs": ("xi-api-key", ""),
}
"""The header in which a provider takes its key, and what stands before it there."""

PATHS = {
    "azure-openai": "resource/deployment/chat/completions",
    "aws-bedrock": "bedrock-runtime/eu-west-1/model/m/converse",
}


def keyed(*providers: str, keys: str = KEYS) -> str:
    """A gateway's spec that stores keys for these providers."""
    rows = "".join(f"    {name}: {{{{baseURL: '{{url}}', {keys.format()}}}}}\n" for name in providers)
    return f"  providers:\n{rows}    groq: {{{{baseURL: 'http://127.0.0.1:1'}}}}"


SPEC = keyed(*BARE)


def url(provider: str, path: str = "", gateway: str = "main") -> str:
    return f"/v1/local/{gateway}/{provider}/{path or PATHS.get(provider, 'chat/completions')}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningEdge]:
    """An edge that has two keys for each provider."""
    folder = tmp_path_factory.mktemp("edge")
    resources = gateway_document("main", SPEC, listening_provider) + gateway_document("keyless", "", listening_provider)
    async with running_edge(folder, resources, environment=ENVIRONMENT) as running:
        yield running


@pytest.mark.parametrize("name", BARE)
async def test_a_stored_key_goes_into_the_providers_own_header(
    edge: RunningEdge, provider: Provider, name: str
) -> None:
    client = await edge.connect()

    answers = [await client.ask(post(url(name), b"{}")) for _ in range(3)]

    header, prefix = BARE[name]
    assert {answer.status for answer in answers} == {200}
    assert [header_of(each, header) for each in provider.received] == [[prefix + ENVIRONMENT["FIRST"]]] * 3
    assert not any("sk-" in value for known, value in headers_of(provider.last) if known.lower() != header)


OWN_KEYS = {
    "openai": [b"Authorization: Bearer own"],
    "anthropic": [b"X-Api-Key: own", b"authorization: Bearer own"],
    "google-ai-studio": [b"x-goog-api-key: own", b"Authorization: Bearer own"],
    "azure-openai": [b"API-Key: own", b"authorization: Bearer own"],
    "parallel": [b"x-api-key: own"],
    "elevenlabs": [b"xi-api-key: own"],
}


@pytest.mark.parametrize(("name", "own"), [(name, own) for name, keys in OWN_KEYS.items() for own in keys])
@pytest.mark.parametrize("also", [b"X-A: 1", b"cf-aig-byok-alias: second", b"cf-aig-byok-alias: default"])
async def test_a_client_with_a_key_of_its_own_uses_that(
    edge: RunningEdge, provider: Provider, name: str, own: bytes, also: bytes
) -> None:
    client = await edge.connect()

    answer = await client.ask(post(url(name), b"{}", own, also))

    header, _, value = own.decode().partition(": ")
    assert answer.status == 200
    assert (header, value) in headers_of(provider.last)
    assert not any("sk-" in value for _, value in headers_of(provider.last))


async def test_a_client_with_a_key_in_the_query_uses_that(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    for query in ("?key=own", "?alt=sse&key=own"):
        await client.ask(post(url("google-ai-studio", f"v1/models/g:generateContent{query}"), b"{}"))
        assert provider.last.line.endswith(f"{query} HTTP/1.1".encode())
        assert header_of(provider.last, "x-goog-api-key") == []
    await client.ask(post(url("google-ai-studio", "v1/models/g:generateContent?monkey=1"), b"{}"))

    assert header_of(provider.last, "x-goog-api-key") == [ENVIRONMENT["FIRST"]]


@pytest.mark.parametrize("empty", [b"Authorization:", b"Authorization: Bearer", b"Authorization: Bearer "])
async def test_an_empty_key_is_none_and_is_not_sent_beside_the_stored_one(
    edge: RunningEdge, provider: Provider, empty: bytes
) -> None:
    client = await edge.connect()

    await client.ask(post(url("openai"), b"{}", empty))

    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]


async def test_a_key_for_another_provider_is_no_key_for_this_one(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    await client.ask(post(url("openai"), b"{}", b"x-api-key: own"))

    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]
    assert header_of(provider.last, "x-api-key") == ["own"]


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_the_alias_says_which_key(edge: RunningEdge, provider: Provider, name: str) -> None:
    client = await edge.connect()
    header, prefix = BARE[name]

    for alias in ("second", "default", "second", "second"):
        await client.ask(post(url(name), b"{}", f"cf-aig-byok-alias: {alias}".encode()))
        expected = ENVIRONMENT["SECOND" if alias == "second" else "FIRST"]
        assert header_of(provider.last, header) == [prefix + expected]
        assert header_of(provider.last, "cf-aig-byok-alias") == []


@pytest.mark.parametrize(
    ("target", "alias"),
    [(url("openai"), "third"), (url("openai", gateway="keyless"), "default"), (url("groq"), "second")],
    ids=["unknown", "no keys on this gateway", "no keys for this provider"],
)
async def test_an_alias_without_a_key_is_400_and_named(
    edge: RunningEdge, provider: Provider, target: str, alias: str
) -> None:
    client = await edge.connect()

    refused = [await client.ask(post(target, b"{}", f"cf-aig-byok-alias: {alias}".encode())) for _ in range(2)]

    assert [answer.status for answer in refused] == [400, 400]
    assert "cf-aig-byok-alias" in refused[0].json()["error"]["message"]
    assert "sk-" not in str(refused)
    assert provider.received == []
    assert (await client.ask(post(url("openai"), b"{}"))).status == 200


async def test_a_gateway_without_keys_sends_none(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    await client.ask(post(url("openai", gateway="keyless"), b"{}"))

    assert header_of(provider.last, "authorization") == []


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"QUERY"])
async def test_every_method_gets_the_key(edge: RunningEdge, provider: Provider, method: bytes) -> None:
    client = await edge.connect()

    await client.ask(request(url("openai", "models"), method=method))

    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]


async def test_an_upload_that_streams_gets_the_key(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()

    await client.ask(post(url("openai", "files"), b"x" * 300_000))

    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]
    assert len(provider.last.body) == 300_000


async def test_each_attempt_gets_the_key(edge: RunningEdge, provider: Provider) -> None:
    provider.turn = saying(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    client = await edge.connect()

    await client.ask(post(url("openai"), b"{}", b"cf-aig-max-attempts: 3", b"cf-aig-retry-delay: 1"))

    assert [header_of(each, "authorization") for each in provider.received] == [["Bearer " + ENVIRONMENT["FIRST"]]] * 3


async def universal(edge: RunningEdge, steps: Sequence[Mapping[str, object]], *headers: bytes) -> RawAnswer:
    client = await edge.connect()
    return await client.ask(post("/v1/local/main", json.dumps(steps).encode(), *headers))


async def test_each_step_gets_the_key_of_its_own_provider(edge: RunningEdge, provider: Provider) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        status = b"500 No" if len(provider.received) == 1 else b"200 OK"
        await visit.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    provider.turn = turn
    steps = [{"provider": "anthropic", "endpoint": "v1/messages"}, {"provider": "openai", "endpoint": "chat"}]

    await universal(edge, [{**step, "query": {}} for step in steps], b"Authorization: Bearer of-the-request")

    first, second = provider.received
    assert (header_of(first, "x-api-key"), header_of(first, "authorization")) == ([ENVIRONMENT["FIRST"]], [])
    assert (header_of(second, "x-api-key"), header_of(second, "authorization")) == (
        [],
        ["Bearer " + ENVIRONMENT["FIRST"]],
    )


async def test_a_step_with_a_key_of_its_own_uses_that(edge: RunningEdge, provider: Provider) -> None:
    step = {"provider": "openai", "endpoint": "chat", "headers": {"Authorization": "Bearer own"}, "query": {}}

    await universal(edge, [step])

    assert header_of(provider.last, "authorization") == ["Bearer own"]


@pytest.mark.parametrize(
    ("in_step", "in_request", "expected"),
    [("second", "", "SECOND"), ("", "second", "SECOND"), ("default", "second", "FIRST")],
)
async def test_a_steps_alias_goes_over_the_requests(
    edge: RunningEdge, provider: Provider, in_step: str, in_request: str, expected: str
) -> None:
    headers = {"cf-aig-byok-alias": in_step} if in_step else {}
    step = {"provider": "openai", "endpoint": "chat", "headers": headers, "query": {}}

    await universal(edge, [step], *([f"cf-aig-byok-alias: {in_request}".encode()] if in_request else []))

    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT[expected]]


async def test_callers_with_different_keys_do_not_share_answers(serve: Serve) -> None:
    edge = await serve(SPEC + "\n  cache: {{ttlS: 300}}", environment=ENVIRONMENT)
    client = await edge.connect()
    callers = [b"X-A: 1", b"cf-aig-byok-alias: second", b"Authorization: Bearer own", b"Authorization: Bearer other"]

    first = [await client.ask(post(url("openai"), b"{}", caller)) for caller in callers]
    again = [await client.ask(post(url("openai"), b"{}", caller)) for caller in callers]

    assert [answer.get("cf-aig-cache-status") for answer in first] == ["MISS"] * 4
    assert [answer.get("cf-aig-cache-status") for answer in again] == ["HIT"] * 4


async def test_a_pair_that_would_sign_is_not_built_and_not_sent(serve: Serve, provider: Provider) -> None:
    keys = "keys: [{{{{valueFrom: {{{{env: PAIR}}}}}}}}]"
    edge = await serve(keyed("aws-bedrock", keys=keys), environment=ENVIRONMENT)
    client = await edge.connect()

    answer = await client.ask(post(url("aws-bedrock"), b"{}"))

    assert answer.status == 501
    assert "secret-51d0" not in str(answer)
    assert provider.received == []


# An edge without its keys.


class Elsewhere:
    """The router, spoken to as if over plain TCP: it gives no keys away there."""

    def __init__(self, service: Conversations[Any, Any]) -> None:
        self._service = service

    def open(self, peer: Peer, reply: Callable[[Any], None]) -> Session[Any]:
        return self._service.open(Peer("elsewhere", is_private=False), reply)


class Silent:
    """A router that does not answer until it is told to."""

    def __init__(self, service: Conversations[Any, Any]) -> None:
        self._service = service
        self._waiting: list[tuple[Session[Any], asyncio.Event]] = []
        self.speaks = asyncio.Event()

    def open(self, peer: Peer, reply: Callable[[Any], None]) -> Session[Any]:
        session = self._service.open(peer, reply)
        return _Held(session, self.speaks)


class _Held:
    def __init__(self, session: Session[Any], speaks: asyncio.Event) -> None:
        self._session = session
        self._speaks = speaks

    async def receive(self, items: Sequence[Any]) -> None:
        await self._speaks.wait()
        await self._session.receive(items)

    async def close(self) -> None:
        await self._session.close()


def watched(wrap: Callable[[Conversations[Any, Any]], Conversations[Any, Any]]) -> Any:
    return lambda purpose, service: wrap(service) if purpose == "watch" else service


async def assert_key_is_missed(edge: RunningEdge, provider: Provider) -> None:
    """It is 503 with a time to come back, for whoever needs a stored key and nobody else."""
    client = await edge.connect()
    refused = [await client.ask(post(url("openai"), b"{}")) for _ in range(2)]
    served = [await client.ask(post(url("openai"), b"{}", b"Authorization: Bearer own"))]
    served.append(await client.ask(post(url("openai", gateway="keyless"), b"{}")))

    assert [answer.status for answer in refused] == [503, 503]
    assert [answer.get("cf-aig-error-code") for answer in refused] == ["2103", "2103"]
    assert all(int(answer.get("retry-after") or 0) >= 1 for answer in refused)
    assert [answer.status for answer in served] == [200, 200]
    assert len(provider.received) == 2
    assert "sk-" not in str(refused)


async def test_an_edge_from_which_keys_are_withheld_says_so(serve: Serve, provider: Provider) -> None:
    more = gateway_document("keyless", "", provider)
    edge = await serve(SPEC, more=more, environment=ENVIRONMENT, through=watched(Elsewhere))

    await assert_key_is_missed(edge, provider)


async def test_a_step_whose_key_is_missing_fails_over_to_one_with_its_own(serve: Serve, provider: Provider) -> None:
    edge = await serve(SPEC, environment=ENVIRONMENT, through=watched(Elsewhere))
    own = {"provider": "openai", "endpoint": "chat", "headers": {"Authorization": "Bearer own"}, "query": {}}

    answer = await universal(edge, [{"provider": "anthropic", "endpoint": "v1/messages", "query": {}}, own])

    assert (answer.status, answer.get("cf-aig-step")) == (200, "1")
    assert header_of(provider.last, "authorization") == ["Bearer own"]


@asynccontextmanager
async def restarted(folder: Path, provider: Provider, **settings: Any) -> AsyncIterator[tuple[RunningEdge, Silent]]:
    """An edge that served before, and now starts while its router says nothing."""
    resources = gateway_document("main", SPEC, provider) + gateway_document("keyless", "", provider)
    async with running_edge(folder, resources, environment=ENVIRONMENT, **settings) as before:
        await (await before.connect()).ask(post(url("openai"), b"{}"))
    provider.forget()
    routers: list[Silent] = []

    def silenced(service: Conversations[Any, Any]) -> Silent:
        routers.append(Silent(service))
        return routers[0]

    through = watched(silenced)
    async with running_edge(folder, resources, environment=ENVIRONMENT, through=through, **settings) as edge:
        yield edge, routers[0]


async def test_an_edge_without_a_router_has_the_keys_of_its_sealed_copy(tmp_path: Path, provider: Provider) -> None:
    async with restarted(tmp_path, provider, snapshot_key=Secret("a passphrase")) as (edge, _):
        answer = await (await edge.connect()).ask(post(url("openai"), b"{}"))

    assert answer.status == 200
    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]


async def test_an_edge_without_a_router_and_a_sealed_copy_has_no_keys_until_the_router_answers(
    tmp_path: Path, provider: Provider
) -> None:
    async with restarted(tmp_path, provider) as (edge, router):
        await assert_key_is_missed(edge, provider)

        router.speaks.set()
        await until(lambda: edge.edge.configuration.stored_key("local", "main", "openai", "default") is not None)
        answer = await (await edge.connect()).ask(post(url("openai"), b"{}"))

    assert answer.status == 200
    assert header_of(provider.last, "authorization") == ["Bearer " + ENVIRONMENT["FIRST"]]


async def test_bodies_of_other_lengths_behind_the_same_head_have_their_own_length(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()

    for size in (3, 200, 7):
        await client.ask(post("/v1/local/main/openai/chat/completions", b"x" * size))

    lengths = [header_of(received, "content-length") for received in provider.received]
    assert lengths == [["3"], ["200"], ["7"]]
    assert [len(received.body) for received in provider.received] == [3, 200, 7]
