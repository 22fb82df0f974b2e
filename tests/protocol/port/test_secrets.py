"""
Secrets: what must not be told stays where it is, whatever becomes of the request that brought it.

Each request here carries canaries (scene.py) through success, refusal, failure and defect, and then everything the edge
has said is searched for them. Prompts are canaries, too: those are found, in the payload log and nowhere else, which
shows that the search finds what is there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import pytest_asyncio

from services.contracts.router.values import StoredKeys
from services.edge.upstream.proxies import ProxyRules
from services.kit.names import SpanName
from services.kit.secret import Secret
from tests.protocol.port.conftest import gateway_document
from tests.protocol.port.edges import running_edge, until
from tests.protocol.port.overhearing import Overhearing
from tests.protocol.port.provider import JSON_OK, Provider, saying, stream
from tests.protocol.port.raw import post, request
from tests.protocol.port.scene import (
    GATEWAYS,
    HEADERS,
    PROVIDERS,
    PROXY,
    SEAL,
    STANDING,
    STORED,
    TOKEN,
    Faulty,
    Scene,
    Stage,
)
from tests.protocol.upstream.scripted import Received, Visit, ok

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    tracer, overhearing = Faulty(), Overhearing()
    resources = "".join(gateway_document(name, PROVIDERS + spec, listening_provider) for name, spec in GATEWAYS.items())
    running = running_edge(
        tmp_path_factory.mktemp("edge"),
        resources,
        environment={"TOKEN": TOKEN, "STORED": STORED},
        tracer=tracer,
        through=overhearing,
        snapshot_key=Secret(SEAL),
        proxies=ProxyRules.parse(http_proxy=f"http://user:{PROXY}@127.0.0.1:1"),
    )
    async with running as edge:
        yield Stage(edge, listening_provider, tracer, overhearing)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(stage: Stage, provider: Provider, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Scene]:
    caplog.set_level(logging.DEBUG)
    stage.tracer.breaks_at = ""
    client = await stage.edge.connect()
    yield Scene(stage, client)
    await client.close()


LOGGED = {("payloads", "prompt"), ("ingest", "prompt"), ("files", "prompt")}
"""Where a prompt is: in the payload log, on its way there, and in the spool."""

Act = Callable[[Scene], Awaitable[object]]


def asking(status: int, octets: Callable[[Scene], bytes]) -> Act:
    """Asks once, and is answered so."""

    async def act(scene: Scene) -> None:
        assert (await scene.ask(octets(scene))).status == status

    return act


# Success.


async def stream_of_events(scene: Scene) -> None:
    scene.stage.provider.turn = saying(stream(b"data: {}\n\n", b"data: [DONE]\n\n"))
    assert (await scene.ask(scene.post())).status == 200


async def cached(scene: Scene) -> None:
    octets = scene.post(gateway="cached")
    statuses = [(await scene.ask(octets)).get("cf-aig-cache-status") for _ in range(2)]
    assert statuses == ["MISS", "HIT"]


async def coalesced(scene: Scene) -> None:
    is_joined = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        await is_joined.wait()
        await visit.send(JSON_OK)

    scene.stage.provider.turn = turn
    other = await scene.stage.edge.connect()
    octets = scene.post(gateway="cached")
    await scene.client.send(octets)
    await until(lambda: len(scene.stage.provider.received) == 1)
    await other.send(octets)
    await until(lambda: scene.stage.edge.edge.port.in_flight == 2)
    await asyncio.sleep(0.05)
    is_joined.set()
    scene.answers += [await scene.client.answer(), await other.answer()]
    assert scene.answers[-1].get("cf-aig-cache-status") == "COALESCED"


def steps(scene: Scene, *plan: dict[str, object]) -> bytes:
    """A universal request; each step has a key of its own and a prompt."""
    for index, step in enumerate(plan):
        step.setdefault("headers", {"Authorization": f"Bearer {scene.canary(f'step-{index}')}", "x-api-key": "x"})
        step.setdefault("query", {"messages": scene.canary("prompt")})
    return post(f"/v1/local/main?key={scene.canary('query')}", json.dumps(plan).encode(), *scene.headers)


def two_steps(scene: Scene) -> bytes:
    return steps(
        scene,
        {"provider": "groq", "endpoint": f"chat?key={scene.canary('endpoint')}", "query": scene.canary("other-prompt")},
        {"provider": "openai", "endpoint": f"chat/completions?key={scene.canary('endpoint')}"},
    )


SUCCESS: dict[str, Act] = {
    "held": asking(200, Scene.post),
    "without a body": asking(200, lambda scene: request(scene.target(), *scene.headers)),
    "head": asking(200, lambda scene: request(scene.target(), *scene.headers, method=b"HEAD")),
    "upload": asking(200, lambda scene: post(scene.target(), scene.body.ljust(200_000), *scene.headers)),
    "stream": stream_of_events,
    "cached": cached,
    "coalesced": coalesced,
    "limits by headers": asking(200, lambda scene: scene.post(gateway="keyed")),
    "steps": asking(200, two_steps),
    "stored key": asking(
        200, lambda scene: post("/v1/local/main/anthropic/v1/messages", scene.body, scene.headers[-1])
    ),
    "key in the query": asking(200, lambda scene: scene.post("google-ai-studio/v1/models/g:generateContent")),
    "absolute form": asking(
        200,
        lambda scene: post(
            f"http://user:{scene.canary('user')}@gateway.test{scene.target()}", scene.body, *scene.headers
        ),
    ),
    "user in the host": asking(
        200,
        lambda scene: scene.post().replace(b"Host: ", b"Host: user:%b@" % scene.canary("user").encode()),
    ),
}


@pytest.mark.parametrize("act", SUCCESS.values(), ids=SUCCESS.keys())
async def test_a_request_that_is_served_tells_nothing(scene: Scene, act: Act, caplog: pytest.LogCaptureFixture) -> None:
    await act(scene)

    assert await scene.leaks(caplog) <= LOGGED


async def test_what_is_searched_holds_what_is_there(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.ask(scene.post())
    found = await scene.leaks(caplog)
    arrived = scene.stage.provider.last.head

    said = await scene.said(caplog)
    assert {("payloads", "prompt"), ("ingest", "prompt")} <= found
    assert all(said[where] for where in said.keys() - {"log", "lease"})
    for place in HEADERS.keys() - {"cookie", "proxy-authorization"}:
        assert scene.canary(place).encode() in arrived
    for place in ("cookie", "proxy-authorization", "token"):
        assert scene.canary(place).encode() not in arrived
    keys = [item for item in scene.stage.overhearing.items["watch"] if isinstance(item, StoredKeys)]
    assert STORED in {key.key for each in keys for key in each.keys}
    assert STORED not in repr(keys) + repr(scene.stage.edge.edge.configuration.watching.live)


async def test_of_a_gateway_without_payloads_not_even_a_prompt_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.ask(scene.post(gateway="discreet"))
    await scene.ask(post(scene.target(gateway="discreet"), scene.body.ljust(200_000), *scene.headers))
    await scene.ask(scene.post("openai/chat/completions", b"cf-aig-collect-log: false"))
    await scene.ask(scene.post("openai/chat/completions", b"cf-aig-collect-log-payload: false"))

    assert [answer.status for answer in scene.answers] == [200] * 4
    assert await scene.leaks(caplog) == set()


# Refusal.


async def used_up(scene: Scene) -> None:
    statuses = [(await scene.ask(scene.post(gateway="limited"))).status for _ in range(2)]
    assert statuses[-1] == 429


def wrong_token(scene: Scene) -> bytes:
    octets = scene.post()
    return octets.replace(f"Bearer {TOKEN}".encode(), f"Bearer {scene.canary('wrong')}".encode())


def token_without_a_scheme(scene: Scene) -> bytes:
    return scene.post().replace(f"Bearer {TOKEN}".encode(), scene.canary("wrong").encode())


def broken_steps(scene: Scene, **changes: object) -> bytes:
    return steps(scene, {"provider": "openai", "endpoint": "x"} | changes)


REFUSAL: dict[str, Act] = {
    "unknown gateway": asking(404, lambda scene: scene.post(gateway="nowhere")),
    "unknown provider": asking(400, lambda scene: scene.post("nobody/x")),
    "no such path": asking(
        404, lambda scene: post(f"/elsewhere?key={scene.canary('query')}", scene.body, *scene.headers)
    ),
    "wrong token": asking(401, wrong_token),
    "token without a scheme": asking(401, token_without_a_scheme),
    "malformed option": asking(400, lambda scene: scene.post("openai/x", b"cf-aig-cache-ttl: 5")),
    "unknown alias": asking(
        400,
        lambda scene: post(
            "/v1/local/main/anthropic/v1/messages", scene.body, scene.headers[-1], b"cf-aig-byok-alias: other"
        ),
    ),
    "dot segment": asking(400, lambda scene: scene.post("openai/a/../b")),
    "too large": asking(413, lambda scene: post(scene.target(), b"x" * 2_000_000, *scene.headers)),
    "not built": asking(501, lambda scene: scene.post("compat/chat/completions")),
    "socket": asking(
        501,
        lambda scene: request(
            scene.target("openai/realtime"),
            *scene.headers,
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            f"Sec-WebSocket-Protocol: x, cf-aig-authorization.{scene.canary('subprotocol')}".encode(),
        ),
    ),
    "limit": used_up,
    "not http": asking(400, lambda scene: scene.post().replace(b"Authorization: Bearer", b"Authorization Bearer", 1)),
    "nul": asking(400, lambda scene: scene.post("openai/x", b"X-A: \0" + scene.canary("header").encode())),
    "head too large": asking(
        400, lambda scene: scene.post("openai/x", b"X-A: " + scene.canary("header").encode() * 2_000)
    ),
    "target too large": asking(400, lambda scene: scene.post("openai/x" + "y" * 40_000)),
    "coding": asking(400, lambda scene: scene.post().replace(b"Content-Length: ", b"Transfer-Encoding: gzip, ")),
    "body not json": asking(400, lambda scene: steps(scene, {"provider": "openai"})[:-3] + b"}}}"),
    "step with another type": asking(400, lambda scene: broken_steps(scene, endpoint=[scene.canary("header")])),
    "step's header with another type": asking(
        400, lambda scene: broken_steps(scene, headers={"Authorization": [scene.canary("header")]})
    ),
    "step's header in two lines": asking(
        400, lambda scene: broken_steps(scene, headers={"Authorization": f"a\n{scene.canary('header')}"})
    ),
    "step's header in its name": asking(
        400, lambda scene: broken_steps(scene, headers={f"Authorization: Bearer {scene.canary('header')}": ""})
    ),
    "step's unknown provider": asking(400, lambda scene: broken_steps(scene, provider="nobody")),
    "step's malformed option": asking(400, lambda scene: broken_steps(scene, config={"maxAttempts": 99})),
    "step's endpoint with a space": asking(
        400, lambda scene: broken_steps(scene, endpoint=f"a b?key={scene.canary('endpoint')}")
    ),
}


@pytest.mark.parametrize("act", REFUSAL.values(), ids=REFUSAL.keys())
async def test_a_request_that_is_refused_tells_nothing(
    scene: Scene, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    await act(scene)

    assert await scene.leaks(caplog) <= LOGGED


# Failure.


def answering(status: int, *pieces: bytes, path: str = "openai/chat/completions") -> Act:
    """The provider says this, and the client gets that."""

    async def act(scene: Scene) -> None:
        scene.stage.provider.turn = saying(*pieces)
        assert (await scene.ask(scene.post(path))).status == status

    return act


async def closed(scene: Scene) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        visit.writer.close()

    scene.stage.provider.turn = turn
    assert (await scene.ask(scene.post())).status == 502


def echoed(form: Callable[[bytes], bytes]) -> Act:
    """The provider's answer is none, and is made of what it got: no error may repeat it."""

    async def act(scene: Scene) -> None:
        async def turn(visit: Visit, received: Received) -> None:
            await visit.send(form(received.head))
            visit.writer.close()

        scene.stage.provider.turn = turn
        assert (await scene.ask(scene.post())).status == 502

    return act


async def too_late(scene: Scene) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.left()

    scene.stage.provider.turn = turn
    assert (await scene.ask(scene.post("openai/x", b"cf-aig-request-timeout: 20"))).status == 504


async def cut(scene: Scene) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(b"data: {}\n\n", is_whole=False))
        visit.writer.close()

    scene.stage.provider.turn = turn
    assert not (await scene.ask(scene.post())).is_whole


async def stalled(scene: Scene) -> None:
    async def turn(visit: Visit, received: Received) -> None:
        await visit.send(stream(b"data: {}\n\n", is_whole=False))
        await visit.left()

    scene.stage.provider.turn = turn
    assert not (await scene.ask(scene.post())).is_whole


async def client_gone(scene: Scene) -> None:
    is_asked = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        is_asked.set()
        await visit.left()

    scene.stage.provider.turn = turn
    await scene.client.send(scene.post())
    await is_asked.wait()
    scene.client.reset()


async def body_that_breaks(scene: Scene) -> None:
    head = request(scene.target(), *scene.headers, b"Transfer-Encoding: chunked", method=b"POST")
    await scene.client.send(head + b"3\r\nabc\r\n")
    await asyncio.sleep(0.01)
    await scene.client.send(scene.canary("chunk").encode() + b"\r\n")
    with suppress(asyncio.IncompleteReadError):
        scene.answers.append(await scene.client.answer())
    scene.heard += await scene.client.ended()


FAILURE: dict[str, Act] = {
    "unreachable": asking(502, lambda scene: scene.post("groq/chat/completions")),
    "every step": asking(502, lambda scene: broken_steps(scene, provider="groq")),
    "behind a proxy with a password": asking(502, lambda scene: scene.post("parallel/search")),
    "closed": closed,
    "no http": echoed(lambda head: head),
    "echo as a reason": echoed(lambda head: b"HTTP/1.1 200 " + head.replace(b"\r\n", b" ") + b"\r\nX: \0\r\n\r\n"),
    "echo as a bad header": echoed(lambda head: b"HTTP/1.1 200 OK\r\n" + head.partition(b"\r\n")[0] + b"\r\n\r\n"),
    "echo as a bad length": echoed(
        lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: " + head.split(b"Bearer ")[1].split(b"\r")[0] + b"\r\n\r\n"
    ),
    "error status": answering(503, b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}"),
    "redirect": answering(302, b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
    "malformed event": answering(200, stream(b"data: {]\n\n")),
    "unreadable coding": answering(200, ok(b"\x1f\x8bnot gzip", b"Content-Encoding: gzip")),
    "too late": too_late,
    "cut": cut,
    "stalled": stalled,
    "client gone": client_gone,
    "body that breaks": body_that_breaks,
}


@pytest.mark.parametrize("act", FAILURE.values(), ids=FAILURE.keys())
async def test_a_request_that_fails_tells_nothing(scene: Scene, act: Act, caplog: pytest.LogCaptureFixture) -> None:
    await act(scene)

    assert await scene.leaks(caplog) <= LOGGED


# Defect.

BREAKS = {
    SpanName.REQUEST: "main",
    SpanName.ATTEMPT: "main",
    SpanName.RECALL: "cached",
    f"end of {SpanName.REQUEST}": "main",
    f"end of {SpanName.ATTEMPT}": "main",
    f"end of {SpanName.RECALL}": "cached",
}


@pytest.mark.parametrize(("breaks_at", "gateway"), BREAKS.items(), ids=BREAKS.keys())
async def test_a_defect_tells_where_it_is_and_nothing_that_it_knows(
    scene: Scene, breaks_at: str, gateway: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = scene.stage.tracer
    tracer.words = " ".join(
        [scene.canary("defect"), repr(scene.headers), scene.target(), scene.body.decode(), TOKEN, STORED]
    )
    tracer.breaks_at = breaks_at

    answer = await scene.ask(scene.post(gateway=gateway))
    tracer.breaks_at = ""
    after = await scene.ask(scene.post(gateway="main"))

    is_answered = breaks_at == f"end of {SpanName.REQUEST}"
    assert (answer.status, answer.get("cf-aig-error-code")) == ((200, None) if is_answered else (500, "2000"))
    assert after.status == 200
    assert await scene.leaks(caplog) <= LOGGED
    told = [record for record in caplog.records if "a request failed inside the gateway" in record.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info is not None
    assert "RuntimeError" in told[0].getMessage()
    assert "scene.py" in "".join(traceback.format_exception(*told[0].exc_info))


# What stays on disk.


@pytest.mark.parametrize("seal", [None, Secret(SEAL)], ids=["plain", "sealed"])
async def test_the_copy_of_the_snapshot_holds_no_secret_that_can_be_read(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, seal: Secret | None
) -> None:
    folder = tmp_path_factory.mktemp("edge")
    environment = {"TOKEN": TOKEN, "STORED": STORED}
    resources = gateway_document("main", PROVIDERS, provider)
    async with running_edge(folder, resources, environment=environment, snapshot_key=seal) as edge:
        client = await edge.connect()
        token = b"cf-aig-authorization: Bearer " + TOKEN.encode()
        assert (await client.ask(request("/v1/local/main/anthropic/v1/models", token))).status == 200
    copy = folder / "edge" / "snapshot"

    held = b"".join(path.read_bytes() for path in (folder / "edge").rglob("*") if path.is_file())
    assert copy.stat().st_mode & 0o777 == 0o600
    assert len(copy.read_bytes()) > 200
    assert not [name for name, canary in STANDING.items() if canary.encode() in held]
