"""
Retries, delays, first-byte timeout, `Retry-After`, fallback and cancel-on-leave, shown by what the provider
received and when.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.origin import Call, Origin, answer
from tests.harness.deployment import Together
from tests.harness.http import Connection, post

GATEWAYS = 64
"""One for each test: a provider that failed for one gateway is tried last there, and only there."""
PLAIN = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: g{number}}}
spec: {{providers: {{openai: {{baseURL: "{url}/one"}}, groq: {{baseURL: "{url}/two"}}}}}}
---
"""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: retrying}}
spec:
  providers: {{openai: {{baseURL: "{url}/one"}}}}
  retries: {{maxAttempts: 3, delayMs: 100, backoff: exponential}}
  timeouts: {{firstByteMs: 300}}
  cache: {{ttlS: 300}}
"""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
LATE_S = 0.08


class Stage:
    """A Narrows in front of one scripted provider with two names."""

    def __init__(self, origin: Origin, narrows: Together) -> None:
        self.origin = origin
        self.narrows = narrows
        self._gateways = iter(range(GATEWAYS))
        self.path = ""

    @property
    def universal(self) -> str:
        """The universal endpoint of this test's gateway."""
        return self.narrows.url + self.path

    def script(self, *answers: bytes | Callable[[Call], None]) -> None:
        """What the calls get, in order; the last one's answer is repeated."""
        self.origin.forget()
        self.path = f"/v1/local/g{next(self._gateways)}"

        def run(call: Call) -> None:
            said = answers[min(call.number, len(answers)) - 1]
            call.send(said) if isinstance(said, bytes) else said(call)

        self.origin.script = run

    def pauses_s(self) -> list[float]:
        """Between the arrivals of calls."""
        times = [call.arrived_at for call in self.origin.calls]
        return [later - earlier for earlier, later in pairwise(times)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("fallback")
    with Origin(lambda call: call.send(answer())) as origin:
        plain = "".join(PLAIN.format(number=number, url=origin.url) for number in range(GATEWAYS))
        with Together(folder, resources=plain + RESOURCES.format(url=origin.url)) as narrows:
            yield Stage(origin, narrows)


def steps(*configs: dict[str, object]) -> list[dict[str, object]]:
    names = ("openai", "groq")
    return [
        {"provider": names[index % 2], "endpoint": "chat/completions", "query": CHAT, "config": config}
        for index, config in enumerate(configs)
    ]


def within(pause_s: float, wanted_s: float) -> bool:
    return wanted_s - 0.005 <= pause_s <= wanted_s + LATE_S


@pytest.mark.parametrize(
    ("backoff", "wanted"),
    [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.2, 0.3]), ("exponential", [0.1, 0.2, 0.4])],
)
def test_retries_keep_their_delays(stage: Stage, backoff: str, wanted: list[float], measured: Measured) -> None:
    stage.script(answer(status=503))
    config = {"maxAttempts": 4, "retryDelay": 100, "backoff": backoff}

    came = post(stage.universal, steps(config))

    pauses = stage.pauses_s()
    assert came.status == 503
    assert len(pauses) == 3
    worst = max(abs(pause - want) for pause, want in zip(pauses, wanted, strict=True))
    measured(f"{backoff} off by s", round(worst, 3), f"<= {LATE_S}")


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_retryable_status_is_tried_again(stage: Stage, status: int) -> None:
    stage.script(answer(status=status), answer(b'{"ok": true}'))

    came = post(stage.universal, steps({"maxAttempts": 2, "retryDelay": 0}))

    assert (came.status, len(stage.origin.calls)) == (200, 2)


def test_another_refusal_fails_over_without_a_retry(stage: Stage, measured: Measured) -> None:
    stage.script(answer(status=400), answer(b'{"ok": true}'))

    came = post(stage.universal, steps({"maxAttempts": 5}, {}))

    assert (came.status, came.header("cf-aig-step")) == (200, "1")
    assert [call.target.split(b"/")[1] for call in stage.origin.calls] == [b"one", b"two"]
    measured("calls after a 400", len(stage.origin.calls), "== 2")


def test_retry_after_is_obeyed_up_to_five_seconds(stage: Stage, measured: Measured) -> None:
    stage.script(answer(status=429, headers=(("Retry-After", "1"),)), answer())

    came = post(stage.universal, steps({"maxAttempts": 2, "retryDelay": 10}))

    assert came.status == 200
    measured("Retry-After s", round(stage.pauses_s()[0], 2), "0.99..1.15")


def test_a_longer_retry_after_is_an_ordinary_failed_attempt(stage: Stage) -> None:
    stage.script(answer(status=429, headers=(("Retry-After", "60"),)), answer())

    came = post(stage.universal, steps({"maxAttempts": 2, "retryDelay": 10}))

    assert came.status == 200
    assert within(stage.pauses_s()[0], 0.01)


def silent(call: Call) -> None:
    call.wait(10)


def head_only(call: Call) -> None:
    call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")
    call.wait(10)


@pytest.mark.parametrize("late", [silent, head_only])
def test_a_first_byte_that_does_not_come_in_time_fails_over(
    stage: Stage, late: Callable[[Call], None], measured: Measured
) -> None:
    stage.script(late, answer(b'{"ok": true}'))

    came = post(stage.universal, steps({"requestTimeout": 300}, {}))

    assert (came.status, came.header("cf-aig-step")) == (200, "1")
    assert within(stage.pauses_s()[0], 0.3)
    time.sleep(0.3)
    assert stage.origin.calls[0].gone_at is not None
    measured("first-byte timeout s", round(stage.pauses_s()[0], 3), "0.295..0.38")


def test_a_refused_connection_fails_over_and_all_failing_is_502(stage: Stage) -> None:
    def hang_up(call: Call) -> None:
        call.close()

    stage.script(hang_up)

    came = post(stage.universal, steps({}, {}))

    assert came.status == 502
    assert came.header("cf-aig-error-code")


def test_no_first_byte_at_all_is_504(stage: Stage) -> None:
    stage.script(silent)

    came = post(stage.universal, steps({"requestTimeout": 150}))

    assert came.status == 504


def test_a_step_receives_its_own_headers_only(stage: Stage) -> None:
    stage.script(answer(status=500), answer())
    one, two = steps({}, {})
    one["headers"], two["headers"] = {"Authorization": "Bearer one"}, {"Authorization": "Bearer two", "X-Own": "2"}

    post(stage.universal, [one, two], {"Authorization": "Bearer outer", "X-Outer": "1"})

    first, second = stage.origin.calls
    assert (first.header(b"authorization"), second.header(b"authorization")) == (b"Bearer one", b"Bearer two")
    assert first.header(b"x-outer") is None
    assert first.header(b"x-own") is None
    assert first.header(b"content-type") == b"application/json"
    assert json.loads(first.body) == CHAT


def test_nothing_fails_over_after_the_first_body_byte(stage: Stage) -> None:
    def half(call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.05)
        call.close()

    stage.script(half, answer())

    came = post(stage.universal, steps({"maxAttempts": 3}, {}))

    assert not came.is_whole
    assert len(stage.origin.calls) == 1


def leave_after(stage: Stage, path: str, body: object, seconds: float, headers: dict[str, str] | None = None) -> float:
    """Send a request and close the connection; when that was."""
    with Connection(stage.narrows.url) as connection:
        content = json.dumps(body).encode()
        connection.send("POST", path, {"Content-Type": "application/json", **(headers or {})}, content)
        time.sleep(seconds)
    return time.monotonic()


def test_leaving_while_waiting_for_headers_cancels_the_provider(stage: Stage, measured: Measured) -> None:
    stage.script(silent)

    left_at = leave_after(stage, f"{stage.path}/openai/chat/completions", CHAT, 0.2)

    time.sleep(1.1)
    gone_at = stage.origin.calls[0].gone_at
    assert gone_at is not None
    measured("cancel while waiting s", round(gone_at - left_at, 3), "<= 1")


def test_leaving_mid_stream_cancels_the_provider(stage: Stage, measured: Measured) -> None:
    def drip(call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            event = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
            call.send(b"%x\r\n%b\r\n" % (len(event), event))
            if call.gone_at is not None or call.wait(0.05):
                return

    stage.script(drip)

    left_at = leave_after(stage, f"{stage.path}/openai/chat/completions", {**CHAT, "stream": True}, 0.3)

    time.sleep(1.1)
    gone_at = stage.origin.calls[0].gone_at
    assert gone_at is not None
    measured("cancel mid-stream s", round(gone_at - left_at, 3), "<= 1")


def test_leaving_in_a_backoff_means_no_further_attempt(stage: Stage, measured: Measured) -> None:
    stage.script(answer(status=503))

    leave_after(stage, stage.path, steps({"maxAttempts": 5, "retryDelay": 600, "backoff": "constant"}), 0.3)

    time.sleep(1.5)
    measured("calls after leaving in a backoff", len(stage.origin.calls), "== 1")


def test_leaving_while_joined_to_a_fill_leaves_the_fill_alone(stage: Stage, measured: Measured) -> None:
    release = threading.Event()

    def held(call: Call) -> None:
        release.wait(5)
        call.send(answer(b'{"ok": true}'))

    stage.script(held)
    url = f"{stage.narrows.url}/v1/local/retrying/openai/chat/completions"
    question = {**CHAT, "messages": [{"role": "user", "content": "joined"}]}
    headers = {"cf-aig-request-timeout": "5000"}
    statuses: list[int] = []
    filler = threading.Thread(target=lambda: statuses.append(post(url, question, headers).status))
    filler.start()
    stage.origin.wait_for_calls(1)

    leave_after(stage, "/v1/local/retrying/openai/chat/completions", question, 0.2, headers)
    time.sleep(0.3)
    assert stage.origin.calls[0].gone_at is None
    release.set()
    filler.join(5)

    assert statuses == [200]
    measured("upstream calls of a joined fill", len(stage.origin.calls), "== 1")


def test_a_filler_that_leaves_while_others_wait_keeps_filling(stage: Stage, measured: Measured) -> None:
    release = threading.Event()

    def held(call: Call) -> None:
        release.wait(5)
        call.send(answer(b'{"ok": true}'))

    stage.script(held)
    path = "/v1/local/retrying/openai/chat/completions"
    question = {**CHAT, "messages": [{"role": "user", "content": "filler leaves"}]}
    headers = {"cf-aig-request-timeout": "5000"}
    statuses: list[int] = []
    joiner = threading.Thread(target=lambda: statuses.append(post(stage.narrows.url + path, question, headers).status))
    with Connection(stage.narrows.url) as filler:
        content = json.dumps(question).encode()
        filler.send("POST", path, {"Content-Type": "application/json", **headers}, content)
        stage.origin.wait_for_calls(1)
        joiner.start()
        time.sleep(0.4)
    time.sleep(0.3)
    release.set()
    joiner.join(5)

    assert statuses == [200]
    measured("upstream calls after the filler left", len(stage.origin.calls), "== 1")
