"""
Providers as they really are: idle connections that close at random, names that move, IPv6 that swallows packets,
private authorities, a proxy, HTTP/2-only servers, storms of 429, and 5 seconds a byte.

One Narrows in front of all of them. Only the world is faked: providers, the proxy, and what names resolve to.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from tests.acceptance.measured import Measured
from tests.fakes.authority import Authority
from tests.fakes.origin import Call, Origin, answer
from tests.harness.crowd import Outcome, a_few_at_a_time, all_at_once, ask
from tests.harness.http import Answer, Connection, post, request
from tests.upstreams.black_hole import BlackHole
from tests.upstreams.closing import ClosingProvider
from tests.upstreams.raw import RawServer
from tests.upstreams.stage import Stage, staged

REQUESTS = 10_000
AT_ONCE = 32
IDLE_S, AGE_S = 1.0, 2.0
"""Instead of 30 s and 5 minutes, so that names are asked again soon."""
STORM = 1_000
STORM_AT_ONCE = 64
BYTE_S = 5.0
BODY = b"late"
UNREAD_S = 35.0
"""Longer than the 30 s in which a client's body must make progress."""
CHAT: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    settings = {"NARROWS_UPSTREAM_IDLE_S": str(IDLE_S), "NARROWS_UPSTREAM_AGE_S": str(AGE_S)}
    with staged(tmp_path_factory.mktemp("upstream-reality"), settings) as stage:
        yield stage


def fine(call: Call) -> None:
    call.send(answer())


def error_of(came: Answer) -> str:
    """The message of one of our own errors; empty for an answer that is none."""
    assert came.header("cf-aig-error-code") is not None, came
    return str(json.loads(came.body)["error"]["message"])


def questions(count: int) -> list[dict[str, object]]:
    """Small ones, streams, and some that are too large to be held."""
    large = {**CHAT, "messages": [{"role": "user", "content": "x" * 100_000}]}
    kinds = [large, {**CHAT, "stream": True}, *[CHAT] * 8]
    return [kinds[number % len(kinds)] for number in range(count)]


def test_idle_connections_that_close_at_random_cost_nobody_an_answer(stage: Stage, measured: Measured) -> None:
    provider = ClosingProvider(seed=4)
    origin = stage.origin(provider)
    url = stage.chat("closing", origin.url)

    outcomes = asyncio.run(
        a_few_at_a_time([partial(ask, url, question) for question in questions(REQUESTS)], at_once=AT_ONCE)
    )

    failed = [(outcome.status, outcome.error, outcome.body) for outcome in outcomes if outcome.status != 200]
    measured("requests over connections closed at random", len(outcomes), f"== {REQUESTS}")
    measured("failed", len(failed), "== 0")
    measured("calls", len(origin.calls), f"== {REQUESTS}")
    measured("requests that crossed a close", provider.crossed, ">= 10")
    measured.note(f"{provider.closed} of {origin.opened} connections closed by the provider")
    assert not failed, failed[:3]


def test_a_name_that_moves_is_followed(stage: Stage, measured: Measured) -> None:
    old = stage.origin(fine, host="127.0.0.2")
    new = stage.origin(fine, host="127.0.0.3", port=old.port)
    stage.name("moving.test", "127.0.0.2")
    url = stage.chat("moving", f"http://moving.test:{old.port}")
    moved: list[float] = []

    async def one(at_s: float) -> Outcome:
        await asyncio.sleep(at_s)
        if at_s >= AGE_S and not moved:
            stage.name("moving.test", "127.0.0.3")
            moved.append(time.monotonic())
        return await ask(url, CHAT)

    outcomes = asyncio.run(all_at_once([partial(one, number / 100) for number in range(round(400 * AGE_S))]))

    measured("failed while a name moved", sum(outcome.status != 200 for outcome in outcomes), "== 0")
    last_s = max(call.arrived_at for call in old.calls) - moved[0]
    measured(f"last call of the old address, s, with connections retired after {AGE_S:g}", last_s, f"<= {AGE_S + 0.2}")
    assert new.calls[-1].arrived_at > moved[0] + AGE_S


def test_a_name_that_is_gone_says_so_and_comes_back(stage: Stage, measured: Measured) -> None:
    origin = stage.origin(fine)
    stage.name("gone.test")
    url = stage.chat("gone", f"http://gone.test:{origin.port}")

    missing = post(url, CHAT)
    stage.name("gone.test", "127.0.0.1")
    back = post(url, CHAT)

    assert "gone.test" in error_of(missing)
    measured("a name without an address", missing.status, "== 502")
    measured("the next request, when it has one", back.status, "== 200")


def test_ipv6_that_swallows_packets_costs_a_quarter_of_a_second(stage: Stage, measured: Measured) -> None:
    origin = stage.origin(fine)
    stage.name("six.test", "::1", "127.0.0.1")
    url = stage.chat("six", f"http://six.test:{origin.port}")
    with BlackHole(origin.port):
        outcomes = asyncio.run(all_at_once([partial(ask, url, CHAT) for _ in range(20)]))
        again = asyncio.run(ask(url, CHAT))

    slowest_s = max(outcome.took_s for outcome in outcomes)
    assert {outcome.status for outcome in outcomes} == {200}
    measured("first answers with IPv6 black-holed, s", slowest_s, "0.25..0.5")
    measured("the next one, s", again.took_s, "<= 0.1")


def test_a_private_authority_is_trusted_and_a_strange_one_is_not(stage: Stage, measured: Measured) -> None:
    private = stage.origin(fine, "127.0.0.1")
    for_another = stage.origin(fine, "other.test")
    stranger = Origin(fine, tls=Authority("stranger").server_context("127.0.0.1"))
    with stranger:
        came = [
            post(stage.chat(name, each.url), CHAT)
            for name, each in (("private", private), ("stranger", stranger), ("for-another", for_another))
        ]

    measured("private authority", came[0].status, "== 200")
    measured("unknown authority", came[1].status, "== 502")
    measured("certificate of another name", came[2].status, "== 502")
    assert "NARROWS_UPSTREAM_CA" in error_of(came[1])
    assert "certificate" in error_of(came[2])


def test_a_proxy_is_asked_for_a_tunnel(stage: Stage, measured: Measured) -> None:
    behind = stage.origin(fine, "behind.test")
    direct = stage.origin(fine, "api.direct.test")
    stage.name("behind.test")
    stage.name("api.direct.test", "127.0.0.1")
    stage.proxy.routes["behind.test:443"] = behind.port
    urls = [stage.chat(f"tunnel-{host.partition('.')[0]}", f"https://{host}") for host in ("behind.test", "lost.test")]
    direct_url = stage.chat("direct", f"https://api.direct.test:{direct.port}")

    answers = [post(urls[0], CHAT) for _ in range(20)]
    lost, straight = post(urls[1], CHAT), post(direct_url, CHAT)

    measured("answers through the tunnel", sum(came.status == 200 for came in answers), "== 20")
    measured("tunnels for them", stage.proxy.asked.count("behind.test:443"), "== 1")
    measured("a host that the proxy does not reach", lost.status, "== 502")
    measured("past the proxy by NO_PROXY", straight.status, "== 200")
    assert "proxy" in error_of(lost)
    assert "refused CONNECT with status 502" in error_of(lost)
    assert set(stage.proxy.asked) == {"behind.test:443"}
    assert stage.proxy.refused == 0


def test_an_origin_that_speaks_only_http_2_is_named(stage: Stage, tmp_path: Path, measured: Measured) -> None:
    files = stage.authority.write(tmp_path / "tls")
    pair = ((files / "tls.key").read_bytes(), (files / "tls.crt").read_bytes())
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    plain = server.add_insecure_port("127.0.0.1:0")
    secure = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        with RawServer(NO_APPLICATION_PROTOCOL) as alerting, RawServer(GOAWAY) as waiting:
            origins = {
                "plain": f"http://127.0.0.1:{plain}",
                "secure": f"https://127.0.0.1:{secure}",
                "alert": f"https://{alerting.address}",
                "goaway": f"http://{waiting.address}",
            }
            answers = {name: post(stage.chat(f"h2-{name}", url), CHAT) for name, url in origins.items()}
    finally:
        server.stop(grace=None).wait()

    clear = [name for name, came in answers.items() if came.status == 502 and "HTTP/2" in error_of(came)]
    measured("HTTP/2-only origins that are named", len(clear), "== 4")
    assert len(clear) == len(origins), {name: error_of(came) for name, came in answers.items()}


def refuse(call: Call) -> None:
    """A busy provider's 429; its body comes behind its head, as from a server that writes them one by one."""
    call.send(
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 60\r\n"
        b"x-ratelimit-remaining-requests: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    time.sleep(0.002)
    call.send(b'10\r\n{"error":"busy"}\r\n0\r\n\r\n')


def storm(url: str, document: object) -> tuple[list[Outcome], int]:
    """What became of each, and how many connections that may take: as many as at once, again for each lifetime."""
    started_s = time.monotonic()
    outcomes = asyncio.run(a_few_at_a_time([partial(ask, url, document)] * STORM, at_once=STORM_AT_ONCE))
    return outcomes, STORM_AT_ONCE * (3 + int((time.monotonic() - started_s) / AGE_S))


def test_a_storm_of_429_passes_through_as_it_is(stage: Stage, measured: Measured) -> None:
    origin = stage.origin(refuse)
    url = stage.chat("storm", origin.url)

    outcomes, connections_max = storm(url, CHAT)

    theirs = [
        outcome
        for outcome in outcomes
        if (outcome.status, outcome.body, outcome.headers.get("retry-after")) == (429, b'{"error":"busy"}', "60")
        and outcome.headers.get("x-ratelimit-remaining-requests") == "0"
        and "cf-aig-error-code" not in outcome.headers
    ]
    measured("429s that are the provider's own", len(theirs), f"== {STORM}")
    measured("calls for them", len(origin.calls), f"== {STORM}")
    measured("connections for them", origin.opened, f"<= {connections_max}")


def test_a_storm_of_429_falls_back_and_ejects_nobody(stage: Stage, measured: Measured) -> None:
    busy, free = stage.origin(refuse), stage.origin(fine)
    url = stage.gateway(
        "fallback", f"{{providers: {{openai: {{baseURL: '{busy.url}'}}, groq: {{baseURL: '{free.url}'}}}}}}"
    )
    steps = [{"provider": name, "endpoint": "chat/completions", "query": CHAT} for name in ("openai", "groq")]

    outcomes, connections_max = storm(url, steps)

    measured("answers by the second step", Counter(o.headers.get("cf-aig-step") for o in outcomes)["1"], f"== {STORM}")
    measured("calls of the first step, which is not ejected", len(busy.calls), f"== {STORM}")
    measured("connections to it", busy.opened, f"<= {connections_max}")


def test_a_storm_that_names_its_end_is_waited_for(stage: Stage, measured: Measured) -> None:
    first_s: list[float] = []

    def busy_for_a_second(call: Call) -> None:
        first_s.append(call.arrived_at)
        is_over = call.arrived_at - first_s[0] >= 1
        call.send(answer() if is_over else answer(status=429, headers=(("Retry-After", "1"),)))

    origin = stage.origin(busy_for_a_second)
    url = stage.chat("waiting", origin.url, more=", retries: {maxAttempts: 3, delayMs: 1}")

    outcomes = asyncio.run(all_at_once([partial(ask, url, CHAT) for _ in range(200)]))

    measured("answers after Retry-After: 1", sum(outcome.status == 200 for outcome in outcomes), "== 200")
    measured("calls for them", len(origin.calls), "<= 600")
    measured("the first of them, s", min(outcome.took_s for outcome in outcomes), ">= 1")


class Slow:
    """Providers at 5 s a byte; `sent_at` are the moments of the bytes."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self.calls: dict[str, Call] = {}

    def body(self, call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        for at in range(len(BODY)):
            if call.wait(BYTE_S):
                return
            self.sent_at.append(time.monotonic())
            call.send(BODY[at : at + 1])

    def head(self, call: Call) -> None:
        self.calls["head"] = call
        for octet in b"HTTP/1.1 200 OK\r\n":
            call.send(bytes((octet,)))
            if call.wait(BYTE_S):
                return

    def upload(self, call: Call) -> None:
        call.send(answer(b"%d" % len(call.body)))


def byte_by_byte(url: str) -> tuple[Answer, list[float]]:
    """The answer, and when each of its pieces came."""
    came_at = []
    with Connection(url) as connection:
        connection.send("POST", urlsplit(url).path, {}, b"{}")
        came = connection.head()
        for piece in connection.chunks(came):
            came.chunks.append(piece)
            came_at.append(time.monotonic())
    return came, came_at


def timed(url: str, headers: dict[str, str] | None = None) -> tuple[Answer, float, float]:
    """The answer, how long it took, and when that was over."""
    started_s = time.monotonic()
    came = post(url, CHAT, headers)
    return came, time.monotonic() - started_s, time.monotonic()


def test_five_seconds_a_byte_is_slow_and_nothing_else(stage: Stage, measured: Measured) -> None:
    slow = Slow()
    origin, heads = stage.origin(slow.body), stage.origin(slow.head)
    patient = stage.chat("patient", origin.url)
    impatient = stage.chat("impatient", stage.origin(Slow().body).url, more=", timeouts: {idleMs: 3000}")
    late = stage.chat("late", heads.url)
    good = stage.chat("good", stage.origin(fine).url)
    with ThreadPoolExecutor() as threads:
        whole = threads.submit(byte_by_byte, patient)
        stalled = threads.submit(timed, impatient)
        timed_out = threads.submit(timed, late, {"cf-aig-request-timeout": "2000"})
        beside = _beside(good, whole)

    came, came_at = whole.result()
    assert (came.status, came.body, came.is_whole) == (200, BODY, True)
    behind_s = max(here - there for here, there in zip(came_at, slow.sent_at, strict=True))
    measured("a byte at 5 s a byte, s behind the provider", behind_s, "<= 0.1")
    broken, took_s, _ = stalled.result()
    assert not broken.is_whole
    measured("cut by idleMs 3000, s", took_s, "3..3.5")
    row = stage.narrows.log(str(broken.header("cf-aig-log-id")), gateway="impatient")
    assert row["ended"] == "stalled"
    refused, took_s, over_s = timed_out.result()
    measured("no head within 2000 ms", refused.status, "== 504")
    measured("after s", took_s, "2..2.3")
    gone_at = slow.calls["head"].gone_at
    assert gone_at is not None
    measured("its provider is left within s", gone_at - over_s, "<= 1")
    measured("p99 of others meanwhile, ms", beside[len(beside) * 99 // 100] * 1000, "<= 100")


def _beside(url: str, until: Future[object] | Future[tuple[Answer, list[float]]]) -> list[float]:
    """How long requests took, sorted, while something else went on."""
    took: list[float] = []
    while not until.done():
        came, took_s, _ = timed(url)
        assert came.status == 200
        took.append(took_s)
        time.sleep(0.05)
    return sorted(took)


def test_a_provider_that_does_not_read_is_waited_for(stage: Stage, measured: Measured) -> None:
    origin = stage.origin(Slow().upload)
    origin.unread_s = UNREAD_S
    url = stage.chat("upload", origin.url)

    came = request("POST", url, {"Content-Type": "application/octet-stream"}, b"x" * 20_000_000, timeout_s=60)

    measured(f"a body that the provider reads after {UNREAD_S:g} s", came.status, "== 200")
    assert came.body == b"20000000"
