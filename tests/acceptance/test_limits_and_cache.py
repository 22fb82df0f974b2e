"""
Four edges, two limiters, two caches and a Redis as processes: a limit holds over all of them, and identical requests
become one upstream call.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.origin import Call, Origin, answer
from tests.harness.crowd import all_at_once, ask
from tests.harness.deployment import Apart

LIMIT, REQUESTS = 1_000, 3_000
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: limited}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  limits:
    - {{name: thousand, unit: requests, limit: 1000, windowS: 86400, technique: fixed, failMode: closed}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: cached}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  cache: {{ttlS: 300}}
"""


def provide(call: Call) -> None:
    """A chat completion, streamed or whole, a little late so that identical requests overlap."""
    call.wait(0.02)
    if b'"stream": true' not in call.body:
        call.send(answer(b'{"object":"chat.completion","choices":[{"finish_reason":"stop"}]}'))
        return
    call.wait(0.2)
    call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(20):
        event = b'data: {"choices":[{"delta":{"content":"%d of call %d "}}]}\n\n' % (number, call.number)
        call.send(b"%x\r\n%b\r\n" % (len(event), event))
        call.wait(0.01)
    call.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(provide) as origin:
        yield origin


@pytest.fixture(scope="module")
def narrows(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    replicas = {"edge": 4, "limiter": 2, "cache": 2}
    folder: Path = tmp_path_factory.mktemp("limits-and-cache")
    with Apart(folder, resources=RESOURCES.format(url=origin.url), replicas=replicas) as narrows:
        yield narrows


def question(*, stream: bool = False) -> dict[str, object]:
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": str(uuid.uuid4())}]}


def test_a_limit_holds_over_four_edges(narrows: Apart, origin: Origin, measured: Measured) -> None:
    origin.forget()
    urls = [f"{edge}/v1/local/limited/openai/chat/completions" for edge in narrows.edges]
    requests = [partial(ask, urls[number % 4], question()) for number in range(REQUESTS)]

    outcomes = asyncio.run(all_at_once(requests))

    statuses = Counter(outcome.status for outcome in outcomes)
    measured("arrived", len(origin.calls), "980..1000")
    others = [(o.status, o.error, o.body) for o in outcomes if o.status not in (200, 429)]
    measured("answers that are neither 200 nor 429", len(others), "== 0")
    assert statuses[200] == len(origin.calls), others[:3]


@pytest.mark.parametrize("stream", [False, True])
def test_identical_requests_over_two_edges_become_one_call(
    narrows: Apart, origin: Origin, stream: bool, measured: Measured
) -> None:
    origin.forget()
    same = question(stream=stream)
    urls = [f"{edge}/v1/local/cached/openai/chat/completions" for edge in narrows.edges[:2]]

    outcomes = asyncio.run(all_at_once([partial(ask, urls[number % 2], same) for number in range(100)]))

    bodies = {outcome.body for outcome in outcomes}
    statuses = Counter(outcome.headers.get("cf-aig-cache-status", "") for outcome in outcomes)
    assert {outcome.status for outcome in outcomes} == {200}, json.dumps([o.error for o in outcomes if o.status != 200])
    assert len(bodies) == 1
    assert statuses["MISS"] == 1
    measured("upstream calls, SSE" if stream else "upstream calls, JSON", len(origin.calls), "== 1")
