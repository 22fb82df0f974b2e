"""
Hostile input at an edge and its services as processes: every case ends as stated, nothing grows, and a good client
beside it notices nothing.

The edge has a processor of its own, as a process of it is meant to have; attackers, provider and the other services
share the rest, and the good client goes before them all. A round has the slow attacks in the background all the while
and the quick ones one after the other. The second round is the first one again: what it adds to the memory of the edge
and the limiter is what such a client could go on adding.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.measured import Measured
from tests.bench.driver import GATEWAY_CPU, rss_mib
from tests.harness.children import Child
from tests.harness.deployment import Apart
from tests.harness.metrics import metrics_page
from tests.harness.processes import get_json
from tests.hostile.attack import Attack, Edge, Result, attackers, in_a_process
from tests.hostile.framing import climbing, framing
from tests.hostile.good_client import GoodClient
from tests.hostile.numbers import keys, names
from tests.hostile.oversized import bombs, commas, oversized, oversized_chunks
from tests.hostile.slow import deaf_and_asking, deaf_to_a_flood, resting, silent, slow_bodies, slow_heads

ALONE_S = 10.0
CASE_S_MIN = 3.0
"""A case lasts so long that the good client's 99th percentile is of some hundred requests."""
PER_S = 100.0
FIRST_PRIORITY = -10
SERIES_MAX = 20_000
GOOD = "/v1/local/good/openai/chat/completions"
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: main}}
spec: {{providers: {{openai: {{baseURL: "{url}/v1"}}}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: cached}}
spec: {{providers: {{openai: {{baseURL: "{url}/v1"}}}}, cache: {{ttlS: 300}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: impatient}}
spec: {{providers: {{openai: {{baseURL: "{url}/v1"}}}}, timeouts: {{idleMs: 3000}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: keyed}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  cache: {{ttlS: 300}}
  logs: {{collect: false}}
  limits:
    - {{name: user, unit: requests, limit: 9, windowS: 600, technique: sliding, key: [header.x-user], failMode: closed}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: good}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  limits:
    - {{name: all, unit: requests, limit: 100000000, windowS: 3600, technique: sliding, failMode: closed}}
"""
SLOW: tuple[Attack, ...] = (slow_heads, slow_bodies, silent, resting, deaf_to_a_flood, deaf_and_asking)
QUICK: tuple[Attack, ...] = (framing, climbing, oversized, oversized_chunks, commas, bombs, names, keys)


@dataclass
class Round:
    """What came of one: results by the attack's name, and when each of the quick ones went on."""

    results: dict[str, Result] = field(default_factory=dict)
    spans_s: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def fight(self, executor: Executor, edge: Edge) -> None:
        """All attacks, each to its end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._slowly(executor, edge))
            for attack in QUICK:
                began_s = time.monotonic()
                await self._note(executor, attack, edge)
                await asyncio.sleep(max(0.0, began_s + CASE_S_MIN - time.monotonic()))
                self.spans_s[attack.__name__] = began_s, time.monotonic()

    async def _slowly(self, executor: Executor, edge: Edge) -> None:
        await self._note(executor, _all_slow, edge)

    async def _note(self, executor: Executor, attack: Attack, edge: Edge) -> None:
        self.results[attack.__name__.strip("_")] = await in_a_process(executor, attack, edge)


async def _all_slow(edge: Edge) -> Result:
    """At the same time, from one process."""
    whole = Result()
    for result in await asyncio.gather(*[attack(edge) for attack in SLOW]):
        whole.tried += result.tried
        whole.faults += result.faults
    return whole


@pytest.fixture(scope="module", autouse=True)
def load_processors() -> Iterator[None]:
    """Whatever is started from here runs where the edge will not."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors - {int(GATEWAY_CPU)})
    yield
    os.sched_setaffinity(0, processors)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with Child("tests.hostile.provider") as provider:
        yield provider.said


@pytest.fixture(scope="module")
def narrows(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with Apart(folder, resources=RESOURCES.format(url=provider)) as narrows:
        os.sched_setaffinity(narrows.processes["edge"].pid, {int(GATEWAY_CPU)})
        priority = os.getpriority(os.PRIO_PROCESS, 0)
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, FIRST_PRIORITY)
        yield narrows
        os.setpriority(os.PRIO_PROCESS, 0, priority)


async def fight(narrows: Apart, good: GoodClient, rounds: list[Round]) -> tuple[float, list[dict[str, float]]]:
    """The good client's own p99, and the memory of edge and limiter after each round."""
    memory_mib: list[dict[str, float]] = []
    with attackers() as executor:
        async with good.asking():
            began_s = time.monotonic()
            await asyncio.sleep(ALONE_S)
            own_ms = good.p99_ms(began_s, time.monotonic())
            for each in rounds:
                await each.fight(executor, Edge(narrows.url))
                await asyncio.sleep(CASE_S_MIN)
                memory_mib.append({name: rss_mib(narrows.processes[name].pid) for name in ("edge", "limiter")})
    return own_ms, memory_mib


def test_hostile_input_is_bounded_and_clear_and_a_good_client_notices_nothing(
    narrows: Apart, provider: str, measured: Measured
) -> None:
    good, rounds = GoodClient(narrows.url + GOOD, PER_S), [Round(), Round()]

    own_ms, memory_mib = asyncio.run(fight(narrows, good, rounds))

    faults = [fault for each in rounds for result in each.results.values() for fault in result.faults]
    for name in rounds[0].results:
        assert all(each.results[name].tried for each in rounds), f"{name}: nothing was tried"
        tried = sum(each.results[name].tried for each in rounds)
        wrong = sum(len(each.results[name].faults) for each in rounds)
        measured(f"{name.replace('_', ' ')}: not as stated of {tried}", wrong, "== 0")
    for name in ("edge", "limiter"):
        measured(f"MiB a second round adds to the {name}", memory_mib[1][name] - memory_mib[0][name], "<= 20")
    measured("good client's faults", len(good.faults), "== 0")
    p99_ms = {
        f"{case} {n}": good.p99_ms(*span) for n, each in enumerate(rounds, 1) for case, span in each.spans_s.items()
    }
    worst = max(p99_ms, key=p99_ms.__getitem__)
    measured.note(f"good client's own p99 {own_ms:.1f} ms, in each case {_listed(p99_ms)}")
    measured(f"good client's p99 in ms, worst in {worst}", p99_ms[worst], f"<= {max(2 * own_ms, 20):.3g}")
    seen = get_json(f"{provider}/v1/_arrived")
    assert isinstance(seen, dict)
    measured("smuggled requests that arrived", seen["smuggled"], "== 0")
    for fault in sorted({*faults, *good.faults})[:60]:
        print(fault)


def test_names_from_clients_are_no_metrics(narrows: Apart, measured: Measured) -> None:
    """After the rounds above."""
    text = metrics_page(narrows.processes["edge"])

    families = {family.name: len(family.samples) for family in text_string_to_metric_families(text)}
    measured("series of the edge", sum(families.values()), f"<= {SERIES_MAX}")
    measured("metrics that a client has made", len([name for name in families if "evil" in name]), "== 0")
    assert not re.search(r"^evil", text, re.MULTILINE)


def _listed(p99_ms: dict[str, float]) -> str:
    return " ".join(f"{case.replace('_', '-')}: {value:.1f}" for case, value in p99_ms.items())
