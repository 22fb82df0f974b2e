"""
Hosts: a gateway that claims a host name is meant by every request to that name, and by none to another.

docs/wire.md section 1: on such a host `/{provider}/...` and `/compat/...` imply account and gateway. Addresses that
name both, `/v1/{account}/{gateway}/...`, mean what they say on every host.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.protocol.port.conftest import Serve, gateway_document
from tests.protocol.port.edges import RunningEdge, running_edge
from tests.protocol.port.provider import Provider, header_of
from tests.protocol.port.raw import RawAnswer, RawClient, post, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS = "  authentication: {{tokens: [{{name: ci, valueFrom: {{env: CI_TOKEN}}}}]}}"
PATH = "/openai/chat/completions"


def claiming(name: str, *hosts: str, spec: str = "") -> str:
    """A gateway's name and spec with these hosts, and a header that tells which gateway it was."""
    providers = (
        "  providers:\n"
        f"    openai: {{{{baseURL: '{{url}}/v1', headers: {{{{x-gateway: {name}}}}}}}}}\n"
        f"    anthropic: {{{{baseURL: '{{url}}', headers: {{{{x-gateway: {name}}}}}}}}}\n"
    )
    return f"{providers}  hosts: [{', '.join(hosts)}]\n{spec}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningEdge]:
    """An edge with gateways that claim hosts, one of them guarded, and one that claims none."""
    folder = tmp_path_factory.mktemp("edge")
    specs = {
        "main": claiming("main", "ai.example.test", "AI.Second.test"),
        "other": claiming("other", "other.example.test"),
        "guarded": claiming("guarded", "guarded.example.test", spec=TOKENS),
        "plain": claiming("plain").replace("  hosts: []\n", ""),
    }
    resources = "".join(gateway_document(name, spec, listening_provider) for name, spec in specs.items())
    async with running_edge(folder, resources, environment={"CI_TOKEN": "let-me-in"}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(edge: RunningEdge) -> AsyncIterator[RawClient]:
    client = await edge.connect()
    yield client
    await client.close()


def gateway_of(provider: Provider) -> str:
    """Whose rules the last request went by."""
    return header_of(provider.last, "x-gateway")[0]


async def call(client: RawClient, host: str, target: str = PATH, *headers: bytes) -> RawAnswer:
    return await client.ask(post(target, b"{}", b"Host: " + host.encode(), *headers))


SPELLINGS = [
    "ai.example.test",
    "ai.example.test:80",
    "ai.example.test:8787",
    "AI.EXAMPLE.TEST",
    "Ai.Example.Test:443",
    "ai.example.test.",
    "ai.example.test.:80",
    "ai.second.test",
    "AI.Second.test",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_claimed_host_implies_its_gateway_however_it_is_written(
    edge: RunningEdge, client: RawClient, provider: Provider, host: str
) -> None:
    answer = await call(client, host)

    row = await edge.row(answer.get("cf-aig-log-id"))
    assert answer.status == 200
    assert gateway_of(provider) == "main"
    assert provider.last.line == b"POST /v1/chat/completions HTTP/1.1"
    assert (row.account, row.gateway, row.provider, row.path) == ("local", "main", "openai", "chat/completions")


@pytest.mark.parametrize(
    "host",
    [
        "example.test",
        "x.ai.example.test",
        "ai.example.test.evil",
        "ai.example.tes",
        "ai-example.test",
        "xai.example.test",
        "127.0.0.1",
        "[::1]:80",
        "other.example.test@ai.example.tesu",
        "",
    ],
)
async def test_another_host_implies_nothing(client: RawClient, provider: Provider, host: str) -> None:
    answer = await call(client, host)

    assert answer.status == 404
    assert provider.received == []
    assert answer.get("cf-aig-error-code") == "2008"


@pytest.mark.parametrize("host", ["ai.example.test", "ai.example.test:8787", "unclaimed.test"])
async def test_an_address_that_names_its_gateway_means_that_one_on_every_host(
    client: RawClient, provider: Provider, host: str
) -> None:
    for name in ("other", "plain", "main"):
        answer = await call(client, host, f"/v1/local/{name}{PATH}")
        assert answer.status == 200
        assert gateway_of(provider) == name

    refused = [await call(client, host, path) for path in ("/v1/local/nowhere/openai/x", "/v1/chat/completions")]

    statuses = [(answer.status, answer.get("cf-aig-error-code")) for answer in refused]
    assert statuses == [(404, "2002"), (400, "2001")]


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/openai/models?b=2&a=%20", b"/v1/models?b=2&a=%20"),
        ("/openai/v1/models", b"/v1/models"),
        ("/openai/a%2Fb//c", b"/v1/a%2Fb//c"),
        ("/anthropic/v1/messages", b"/v1/messages"),
    ],
)
async def test_what_follows_the_provider_goes_on_octet_for_octet(
    client: RawClient, provider: Provider, target: str, line: bytes
) -> None:
    answer = await call(client, "ai.example.test", target)

    assert answer.status == 200
    assert provider.last.line == b"POST " + line + b" HTTP/1.1"


@pytest.mark.parametrize(
    ("scheme", "authority", "header", "gateway"),
    [
        ("http", "ai.example.test", "ai.example.test", "main"),
        ("HTTP", "AI.example.test:80", "ai.example.test", "main"),
        ("https", "other.example.test", "ai.example.test", "other"),
        ("http", "ai.example.test:8787", "unclaimed.test", "main"),
    ],
)
async def test_a_target_in_absolute_form_goes_over_the_host_header(
    client: RawClient, provider: Provider, scheme: str, authority: str, header: str, gateway: str
) -> None:
    answer = await call(client, header, f"{scheme}://{authority}{PATH}?x=1")

    assert answer.status == 200
    assert gateway_of(provider) == gateway
    assert provider.last.line == b"POST /v1/chat/completions?x=1 HTTP/1.1"


async def test_an_absolute_target_on_an_unclaimed_host_implies_nothing(client: RawClient, provider: Provider) -> None:
    answer = await call(client, "ai.example.test", f"http://unclaimed.test{PATH}")

    assert answer.status == 404
    assert provider.received == []


async def test_hosts_take_turns_on_one_connection(client: RawClient, provider: Provider) -> None:
    turns = ["ai.example.test", "ai.example.test", "other.example.test", "ai.example.test", "other.example.test:80"]

    for host in turns * 4:
        assert (await call(client, host)).status == 200
        assert gateway_of(provider) == ("main" if host.startswith("ai.") else "other")


async def test_hosts_of_one_length_take_turns_on_one_connection(serve: Serve, provider: Provider) -> None:
    edge = await serve(
        claiming("main", "a.test"), more=gateway_document("other", claiming("other", "b.test"), provider)
    )
    client = await edge.connect()

    for host, expected in [("a.test", 200), ("a.test", 200), ("b.test", 200), ("c.test", 404), ("a.test", 200)] * 5:
        answer = await call(client, host)
        assert answer.status == expected
        if expected == 200:
            assert gateway_of(provider) == {"a.test": "main", "b.test": "other"}[host]


REFUSED = {
    "unknown provider": ("/nobody/x", 400, "2003"),
    "not built": ("/compat/chat/completions", 501, "2007"),
    "management": ("/client/v4/accounts/local/ai-gateway/gateways", 404, "2008"),
    "dot segment": ("/openai/a/../b", 400, "2004"),
    "encoded dot segment": ("/openai/%2e%2e/b", 400, "2004"),
    "malformed option": (PATH, 400, "2004"),
}


@pytest.mark.parametrize(("target", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused_elsewhere_is_refused_here(
    edge: RunningEdge, client: RawClient, provider: Provider, target: str, status: int, code: str
) -> None:
    headers = [b"cf-aig-max-attempts: many"] if target == PATH else []

    answer = await call(client, "ai.example.test", target, *headers)

    assert (answer.status, answer.get("cf-aig-error-code")) == (status, code)
    assert provider.received == []
    if code != "2008":
        row = await edge.row(answer.get("cf-aig-log-id"))
        assert (row.gateway, row.status_code, row.ended) == ("main", status, "refused")


async def test_errors_have_the_shape_of_the_providers_path(client: RawClient) -> None:
    openai = await call(client, "guarded.example.test", PATH)
    anthropic = await call(client, "guarded.example.test", "/anthropic/v1/messages")

    assert (openai.status, anthropic.status) == (401, 401)
    assert openai.json()["error"]["code"] == "2009"
    assert anthropic.json()["type"] == "error"


async def test_a_hosts_gateway_asks_for_its_token(client: RawClient, provider: Provider) -> None:
    token = b"cf-aig-authorization: Bearer let-me-in"

    statuses = [
        (await call(client, "guarded.example.test", PATH, *headers)).status
        for headers in ([], [token], [token[:-1] + b"m"], [token], [])
    ]

    assert statuses == [401, 200, 401, 200, 401]
    assert len(provider.received) == 2


async def test_a_universal_request_goes_to_the_root_of_a_host(client: RawClient, provider: Provider) -> None:
    answer = await client.ask(
        post("/", b'[{"provider":"openai","endpoint":"models","query":{}}]', b"Host: ai.example.test")
    )

    assert answer.status == 200
    assert gateway_of(provider) == "main"


@pytest.mark.parametrize("hosts", [[b"Host: ai.example.test", b"Host: ai.example.test"], [b"X-Host: ai.example.test"]])
async def test_a_request_with_another_number_of_hosts_than_one_is_400(
    client: RawClient, provider: Provider, hosts: list[bytes]
) -> None:
    octets = request(PATH, *hosts).replace(b"Host: gateway.test\r\n", b"")

    answer = await client.ask(octets)

    assert answer.status == 400
    assert provider.received == []


async def test_a_host_that_moves_takes_its_callers_along(serve: Serve, provider: Provider) -> None:
    other = gateway_document("other", claiming("other", "b.test"), provider)
    edge = await serve(claiming("main", "a.test"), more=other)
    client = await edge.connect()
    before = [(await call(client, "a.test")).status for _ in range(2)]
    assert gateway_of(provider) == "main"

    await edge.change(
        gateway_document("main", claiming("main", "b.test"), provider)
        + gateway_document("other", claiming("other", "a.test"), provider)
    )
    after = [(await call(client, "a.test")).status for _ in range(2)]
    moved = gateway_of(provider)
    await edge.change(gateway_document("main", claiming("main", "c.test"), provider))

    assert (before, after, moved) == ([200, 200], [200, 200], "other")
    assert [(await call(client, "a.test")).status for _ in range(2)] == [404, 404]
