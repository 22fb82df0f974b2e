"""
Load: applications that go about their work while something happens to the gateway.

A few requests a second of every sort, each on a connection of its own and each checked to the last byte. What counts is
that not one of them fails; what was degraded is counted beside it.

Hazard: an ingress controller in Go cuts off an answer that begins while it still looks for the end of the request's
body (golang/go#40747), one in a hundred when the provider needs a millisecond. The provider here takes as long as a
quick one does.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, cycle

from tests.cluster.release import Release
from tests.harness.http import Answer

WORKERS = 24
CHAT_PATH = "simulator/chat/completions"
LIKE_A_PROVIDER = {"x-simulator-latency-ms": "250"}
LONG = {"x-simulator-words": "40", "x-simulator-chunks": "40", "x-simulator-chunk-delay-ms": "500"}
"""A stream of 20 s, which is longer than an edge waits before it is told to stop."""


@dataclass(frozen=True)
class Result:
    """What became of one request. `fault` is empty when it got what it asked for."""

    sort: str
    gateway: str
    fault: str
    log_id: str = ""
    degraded: str = ""


@dataclass
class Load:
    """Requests at a rate, from entering to leaving."""

    release: Release
    per_s: float
    results: list[Result] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._is_over = threading.Event()
        self._pacing = threading.Thread(target=self._pace)
        self._pacing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._pacing.join()

    @property
    def faults(self) -> list[Result]:
        return [result for result in self.results if result.fault]

    def _pace(self) -> None:
        sorts = cycle(requests(self.release))
        started_s = time.monotonic()
        with ThreadPoolExecutor(WORKERS) as workers:
            workers.submit(self._one, "streamed", "main", self._long)
            for number in count():
                wait_s = started_s + number / self.per_s - time.monotonic()
                if self._is_over.wait(max(0.0, wait_s)):
                    return
                workers.submit(self._one, *next(sorts))

    def _long(self) -> Answer:
        """A stream that began before anything happened and ends when it is over."""
        return self.release.post(f"/v1/local/main/{CHAT_PATH}", question("at length", stream=True), LONG)

    def _one(self, sort: str, gateway: str, ask: Callable[[], Answer]) -> None:
        try:
            answer = ask()
        except (OSError, ValueError, IndexError) as error:
            self.results.append(Result(sort, gateway, f"{type(error).__name__}: {error}"))
            return
        log_id, degraded = (answer.header(name) or "" for name in ("cf-aig-log-id", "cf-aig-degraded"))
        self.results.append(Result(sort, gateway, fault_of(sort, answer), log_id, degraded))


def fault_of(sort: str, answer: Answer) -> str:
    """Why an answer is not what was asked for; empty: it is."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if not answer.is_whole:
        return f"is cut off after {answer.text[-300:]!r}"
    if sort == "streamed" and not answer.text.endswith("data: [DONE]\n\n"):
        return f"ends with {answer.text[-60:]!r}"
    if sort == "universal" and answer.header("cf-aig-step") != "1":
        return f"step {answer.header('cf-aig-step')} answered"
    return ""


def requests(release: Release) -> Iterator[tuple[str, str, Callable[[], Answer]]]:
    """One of every sort."""

    def chat(gateway: str, text: Callable[[], str], **more: object) -> Callable[[], Answer]:
        return lambda: release.post(f"/v1/local/{gateway}/{CHAT_PATH}", question(text(), **more), LIKE_A_PROVIDER)

    def universal() -> Answer:
        step = {"provider": "simulator", "endpoint": "chat/completions", "query": question("fall back")}
        failing = {**step, "headers": {**LIKE_A_PROVIDER, "x-simulator-status": "503"}}
        return release.post("/v1/local/main", [failing, step])

    def fresh() -> str:
        return str(uuid.uuid4())

    yield "native", "main", chat("main", fresh)
    yield "streamed", "main", chat("main", fresh, stream=True)
    yield "universal", "main", universal
    yield "limited", "busy", chat("busy", fresh)
    yield "cached", "busy", chat("busy", lambda: "the same again")


def question(text: str, **more: object) -> dict[str, object]:
    return {"model": "simulator-small", "messages": [{"role": "user", "content": text}], **more}
