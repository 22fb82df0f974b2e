"""
What one more edge costs the services behind it: 1, 2, 4 and 8 edges at 100 requests/s each, far from the limit and with
the cache on, against one limiter, one cache and one Redis.

Load is counted, not timed: messages between edges and services, and the commands that Redis ran. docs/scale.md is
written from these figures.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import redis

from tests.acceptance.measured import Measured
from tests.bench.driver import cpu_s
from tests.harness.deployment import Apart
from tests.harness.metrics import metric

EDGES = (1, 2, 4, 8)
RATE_PER_S = 100
WARM_S, SECONDS = 3, 20
POPULAR = 50
"""Every other request asks one of so many questions; the others ask what nobody asked before."""
NO_MORE = "<= 1.05"
"""Falls or stays; the rest is when ticks happen to fall."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec:
  cache: {ttlS: 300}
  limits:
    - {name: per-minute, unit: requests, limit: 100000000, windowS: 60, technique: sliding}
    - {name: per-day, unit: requests, limit: 1000000000, windowS: 86400, technique: fixed}
"""
PATH = "/v1/local/main/simulator/chat/completions"
HEADERS = {"x-simulator-words": "5"}
SERVICES = ("router", "limiter", "cache", "analytics")

Figures = dict[str, float]


@dataclass
class Load:
    """What the services behind the edges have done so far."""

    counts: Figures

    def since(self, earlier: Load, requests: int) -> Figures:
        """A request's share of what was done since."""
        return {name: (count - earlier.counts[name]) / requests for name, count in self.counts.items()}


def load_of(narrows: Apart, edges: int) -> Load:
    """Messages by service and direction, Redis commands, CPU microseconds by service."""
    counts: Figures = {}
    names = ["edge"] if edges == 1 else [f"edge-{number}" for number in range(edges)]
    for service in ("limiter", "cache"):
        counts[f"{service} messages"] = sum(
            metric(narrows.processes[name], "narrows_rpc_messages_total", dependency=service) for name in names
        )
    with redis.Redis.from_url(narrows.redis.url) as client:
        counts["Redis commands"] = float(client.info("stats")["total_commands_processed"])
    for service in SERVICES:
        counts[f"{service} us"] = cpu_s(narrows.processes[service].pid) * 1e6
    counts["Redis us"] = cpu_s(narrows.redis.pid) * 1e6
    return Load(counts)


def questions() -> Iterator[dict[str, object]]:
    """Half of them new, half of them popular."""
    run = uuid.uuid4()
    for number in itertools.count():
        text = f"popular {number // 2 % POPULAR}" if number % 2 else f"new {run} {number}"
        yield {"model": "simulator-small", "messages": [{"role": "user", "content": text}]}


async def drive(narrows: Apart, seconds: float) -> Counter[int]:
    """Open loop on every edge: a request starts when it is due, whatever has become of those before."""
    statuses: Counter[int] = Counter()

    async def ask(session: aiohttp.ClientSession, url: str, question: Mapping[str, object]) -> None:
        async with session.post(url, json=question, headers=HEADERS) as answer:
            await answer.read()
            statuses[answer.status] += 1

    async def one_edge(session: aiohttp.ClientSession, edge: str, asked: Iterator[dict[str, object]]) -> None:
        began_at_s = time.monotonic()
        async with asyncio.TaskGroup() as asking:
            for number in range(int(RATE_PER_S * seconds)):
                await asyncio.sleep(began_at_s + number / RATE_PER_S - time.monotonic())
                asking.create_task(ask(session, edge + PATH, next(asked)))

    asked = questions()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as driving:
        for edge in narrows.edges:
            driving.create_task(one_edge(session, edge, asked))
    return statuses


def per_request(edges: int, folder: Path) -> Figures:
    """What a request costs behind so many edges."""
    folder.mkdir()
    with Apart(folder, resources=RESOURCES, replicas={"edge": edges}) as narrows:
        asyncio.run(drive(narrows, WARM_S))
        before = load_of(narrows, edges)
        statuses = asyncio.run(drive(narrows, SECONDS))
        after = load_of(narrows, edges)

    assert set(statuses) == {200}, statuses
    return after.since(before, statuses.total())


@pytest.mark.timeout(900)
def test_services_do_no_more_for_a_request_as_edges_grow(tmp_path: Path, measured: Measured) -> None:
    figures = {edges: per_request(edges, tmp_path / str(edges)) for edges in EDGES}

    for edges, shares in figures.items():
        measured.note(f"{edges} edges: " + ", ".join(f"{name} {share:.3g}" for name, share in shares.items()))
    for edges in EDGES[1:]:
        for name in ("limiter messages", "cache messages", "Redis commands"):
            measured(f"{name} a request, {edges} edges over 1", figures[edges][name] / figures[1][name], NO_MORE)
