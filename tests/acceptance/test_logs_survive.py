"""
20,000 requests over two edges while analytics is killed three times with `kill -9`, and one edge once, with analytics
away, so that its last rows are on its disk alone. What clients saw, what the provider served, what the edges counted
and what the log holds must be one story.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.providers.metered import ASKED_BY, NUMBER, cost_nanodollars
from tests.harness.children import Child
from tests.harness.deployment import Apart
from tests.harness.load import Asked, Load, Request
from tests.harness.processes import NarrowsProcess, get_json, metric

REQUESTS = 3_000
AT_ONCE = 32
AWAY_S = 2.0
SETTLED_S = 0.1
"""What ended so long before a kill of its edge must be in the log."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: main}}
spec: {{}}
---
apiVersion: narrows.dev/v1alpha1
kind: Provider
metadata: {{namespace: local, name: metered}}
spec:
  {{baseURL: "{url}", dialect: openai, allowPlainHTTP: true,
   prices: {{"*": {{inputPerMillion: 1, outputPerMillion: 3}}}}}}
"""
LIVED, KILLED = 0, 1
"""Edges by their index."""


@dataclass
class Story:
    """One run as everybody tells it. Numbers are those of requests; `killed_s`: when the edge died."""

    asked: list[Asked]
    served: dict[int, set[int]]
    """By edge."""
    logged: dict[str, list[dict[str, Any]]]
    """Rows by the instance that wrote them."""
    metrics: dict[str, dict[str, float]]
    """Cost in USD, and requests, by instance; an instance that was killed has taken its own along."""
    instances: dict[str, str]
    killed_s: float
    lags_s: list[float] = field(default_factory=list)

    def rows(self, *lives: str) -> list[dict[str, Any]]:
        return [row for life in lives for row in self.logged[self.instances[life]]]


@pytest.fixture(scope="module")
def provider() -> Iterator[Child]:
    with Child("tests.fakes.providers.metered") as provider:
        yield provider


def test_every_finished_request_is_logged_once_and_costs_what_was_served(
    provider: Child, tmp_path: Path, measured: Measured
) -> None:
    resources = RESOURCES.format(url=provider.said)
    with Apart(tmp_path, resources=resources, replicas={"edge": 2}) as narrows:
        story = _run(narrows, provider, REQUESTS)

    finished = {asked.number for asked in story.asked if asked.status == 200}
    measured("finished", len(finished), f">= {REQUESTS}")
    _judge_rows(story, measured)
    _judge_cost_of_those_that_lived(story, measured)
    _judge_cost_of_the_killed(story, measured)
    measured("longest lag told while analytics was away, s", max(story.lags_s), ">= 1")


def _run(narrows: Apart, provider: Child, requests: int) -> Story:
    """All requests and all deaths, and then the books of everybody."""
    edges = [narrows.processes["edge-0"], narrows.processes["edge-1"]]
    analytics = narrows.processes["analytics"]
    instances = {"lived": _status(edges[LIVED])["instance"], "first": _status(edges[KILLED])["instance"]}
    with Load(narrows.edges, _request, at_once=AT_ONCE) as load, _Lags(edges[LIVED]) as lags:
        load.wait_for(requests // 5, timeout_s=300)
        _kill_for_a_while(analytics)
        load.wait_for(2 * requests // 5, timeout_s=300)
        analytics.kill()
        time.sleep(AWAY_S / 2)
        killed_s = time.monotonic()
        edges[KILLED].kill()
        time.sleep(AWAY_S / 2)
        edges[KILLED].start()
        edges[KILLED].wait_until_ready()
        analytics.start()
        analytics.wait_until_ready()
        load.wait_for(4 * requests // 5, timeout_s=300)
        _kill_for_a_while(analytics)
        load.wait_for(requests, timeout_s=300)
    instances["second"] = _status(edges[KILLED])["instance"]
    _wait_until_sent(edges)
    served = get_json(f"{provider.said}/v1/served")
    assert isinstance(served, list)
    return Story(
        asked=load.asked,
        served={edge: {number for by, number, *_ in served if by == str(edge)} for edge in (LIVED, KILLED)},
        logged={instance: _rows(narrows, instance) for instance in instances.values()},
        metrics={instances["lived"]: _metrics(edges[LIVED]), instances["second"]: _metrics(edges[KILLED])},
        instances=instances,
        killed_s=killed_s,
        lags_s=lags.seen_s,
    )


def _judge_rows(story: Story, measured: Measured) -> None:
    """Each finished request is there once, and nothing else."""
    count = Counter(_number(row) for rows in story.logged.values() for row in rows)
    by_edge = {
        edge: {
            asked.number
            for asked in story.asked
            if asked.edge == edge and asked.status == 200 and _is_due(asked, story)
        }
        for edge in (LIVED, KILLED)
    }
    measured("missing of the edge that lived", len(by_edge[LIVED] - count.keys()), "== 0")
    measured("missing of the killed edge, ended 100 ms before", len(by_edge[KILLED] - count.keys()), "== 0")
    measured("twice", sum(times > 1 for times in count.values()), "== 0")
    measured("never served", len(count.keys() - story.served[LIVED] - story.served[KILLED]), "== 0")
    broken = [asked for asked in story.asked if asked.status != 200]
    measured("broken", len(broken), f"<= {AT_ONCE}")
    assert {asked.edge for asked in broken} <= {KILLED}


def _judge_cost_of_those_that_lived(story: Story, measured: Measured) -> None:
    """The log, the metric and the provider agree to the nanodollar; so they do about the killed edge's second life."""
    logged = _sum_logged(story.rows("lived"))
    told = story.metrics[story.instances["lived"]]
    measured("lived: logged cost less the metric, nanodollars", logged - told["cost"], "== 0")
    served = sum(map(cost_nanodollars, story.served[LIVED]))
    measured("lived: logged cost less what was served, nanodollars", logged - served, "== 0")
    measured("lived: rows less requests counted", len(story.rows("lived")) - told["requests"], "== 0")
    again = story.metrics[story.instances["second"]]
    logged_again = _sum_logged(story.rows("second"))
    measured("second life: logged cost less the metric, nanodollars", logged_again - again["cost"], "== 0")


def _judge_cost_of_the_killed(story: Story, measured: Measured) -> None:
    """What is served and not logged was in flight when the edge died, or had ended less than 100 ms before."""
    rows = story.rows("first", "second")
    unlogged = story.served[KILLED] - {_number(row) for row in rows}
    undue = {
        asked.number
        for asked in story.asked
        if asked.edge == KILLED and asked.started_s <= story.killed_s and not _is_due(asked, story)
    }
    measured("killed: served and not logged, though neither in flight nor just ended", len(unlogged - undue), "== 0")
    difference = sum(map(cost_nanodollars, story.served[KILLED] - unlogged)) - _sum_logged(rows)
    measured("killed: cost of what was logged less what was served of it, nanodollars", difference, "== 0")
    measured.note(f"killed: {len(unlogged)} of {len(story.served[KILLED])} served are not logged")


def _is_due(asked: Asked, story: Story) -> bool:
    """Must it be in the log? Not if its edge was about to die."""
    if asked.edge != KILLED or asked.started_s > story.killed_s:
        return True
    return asked.ended_s <= story.killed_s - SETTLED_S


def _request(number: int, edge: int) -> Request:
    """Every third one is streamed."""
    message = {"role": "user", "content": "How deep is it?"}
    metadata = json.dumps({"number": number})
    return Request(
        path="/v1/local/main/custom-metered/chat/completions",
        document={"model": "m", "messages": [message], "stream": number % 3 == 0},
        headers={NUMBER: str(number), ASKED_BY: str(edge), "cf-aig-metadata": metadata},
    )


def _kill_for_a_while(process: NarrowsProcess) -> None:
    process.kill()
    time.sleep(AWAY_S)
    process.start()
    process.wait_until_ready()


def _status(process: NarrowsProcess) -> dict[str, Any]:
    status = get_json(f"http://{process.health}/status")
    assert isinstance(status, dict)
    return status


def _wait_until_sent(edges: list[NarrowsProcess]) -> None:
    """Everything is acknowledged, nothing was dropped."""
    deadline_s = time.monotonic() + 60
    while any(_status(edge)["spool"] != {"bytes": 0, "lag_s": 0, "dropped": 0} for edge in edges):
        assert time.monotonic() < deadline_s, [_status(edge)["spool"] for edge in edges]
        time.sleep(0.2)


def _metrics(edge: NarrowsProcess) -> dict[str, float]:
    cost = round(metric(edge, "narrows_cost_usd_total") * 1e9)
    return {"cost": cost, "requests": metric(edge, "narrows_requests_total")}


def _rows(narrows: Apart, instance: str) -> list[dict[str, Any]]:
    """All that one instance of an edge has logged."""
    filters = quote(json.dumps([{"key": "edge", "operator": "eq", "value": [instance]}]))
    rows: list[dict[str, Any]] = []
    page = 1
    while found := narrows.logs(query=f"?per_page=50&page={page}&filters={filters}&order_by_direction=asc"):
        rows.extend(found)
        page += 1
    return rows


def _number(row: dict[str, Any]) -> int:
    return int(row["metadata"]["number"])


def _sum_logged(rows: list[dict[str, Any]]) -> int:
    """In nanodollars. A row without a cost is worth nothing, so the sums will differ."""
    return sum(round((row["cost"] or 0) * 1e9) for row in rows)


class _Lags:
    """What an edge's /status says of its lag, four times a second."""

    def __init__(self, edge: NarrowsProcess) -> None:
        self.seen_s: list[float] = []
        self._edge = edge
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Lags:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.25):
            self.seen_s.append(float(_status(self._edge)["spool"]["lag_s"]))
