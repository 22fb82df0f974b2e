"""
20,000 requests over two edges while analytics is killed three times with `kill -9`, and one edge once. What clients
saw, what the provider served, what the edges counted and what the log holds must be one story, in embedded ClickHouse
and on a server. Then what cannot be kept: a disk that is full, and a spool that is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.durability.books import counted, number_of, rows_of, status, wait_until_sent
from tests.durability.load import Asked, Load, Request
from tests.durability.story import AT_ONCE, KILLED, LIVED, Story, numbered, served_nanodollars, tell_story
from tests.harness.children import Child
from tests.harness.deployment import Apart
from tests.harness.disks import small_disk
from tests.harness.processes import get_json

REQUESTS = 20_000
REQUESTS_ON_A_SERVER = 3_000
SPOOL_BYTES = 2 * 1_048_576
BATCH_BYTES = 1_048_576
PROMPT_BYTES = 8_000
WRITTEN_S = 0.5
"""Rows are written, or dropped, a moment after their requests; an edge tells how it is once a second."""
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


@pytest.fixture
def provider() -> Iterator[Child]:
    with Child("tests.fakes.providers.metered") as provider:
        yield provider


def test_every_finished_request_is_logged_once_and_costs_what_was_served(
    provider: Child, tmp_path: Path, measured: Measured
) -> None:
    with Apart(tmp_path, resources=RESOURCES.format(url=provider.said), replicas={"edge": 2}) as narrows:
        story = tell_story(narrows, provider.said, requests=REQUESTS)

    measured("finished", len(story.finished), f">= {REQUESTS}")
    _judge(story, measured)
    measured("longest lag told while analytics was away, s", story.lag_s_max, ">= 1")


def test_the_same_on_a_clickhouse_server(provider: Child, tmp_path: Path, measured: Measured) -> None:
    with Child("tests.contract.clickhouse_front", str(tmp_path / "server")) as server:
        deployment = Apart(
            tmp_path / "narrows",
            resources=RESOURCES.format(url=provider.said),
            environment={"NARROWS_CLICKHOUSE_URL": server.said},
            replicas={"edge": 2},
        )
        with deployment as narrows:
            story = tell_story(narrows, provider.said, requests=REQUESTS_ON_A_SERVER)

    measured("on a server: finished", len(story.finished), f">= {REQUESTS_ON_A_SERVER}")
    _judge(story, measured, where="on a server: ")


def _judge(story: Story, measured: Measured, *, where: str = "") -> None:
    """Everybody tells the same."""
    lived, second, unlogged = story.lived, story.second, story.unlogged()
    assert lived.counted is not None
    assert second.counted is not None
    assert {asked.edge for asked in story.broken} <= {KILLED}
    of_the_killed = served_nanodollars(story.served[KILLED] - unlogged)
    logged_of_the_killed = story.first.cost_nanodollars + second.cost_nanodollars
    for what, difference in {
        "missing of the edge that lived": len(story.missing(LIVED)),
        "missing of the killed edge, finished 100 ms before": len(story.missing(KILLED)),
        "logged twice": sum(times > 1 for times in story.logged.values()),
        "logged and never served": len(story.never_served()),
        "lived: requests counted less rows": lived.counted.requests - len(lived.rows),
        "lived: nanodollars counted less logged": lived.counted.cost_nanodollars - lived.cost_nanodollars,
        "lived: nanodollars served less logged": served_nanodollars(story.served[LIVED]) - lived.cost_nanodollars,
        "second life: nanodollars counted less logged": second.counted.cost_nanodollars - second.cost_nanodollars,
        "killed: served, not logged, and neither in flight nor just ended": len(story.unlogged_without_reason()),
        "killed: nanodollars served of the rest less logged": of_the_killed - logged_of_the_killed,
        "dropped": lived.counted.dropped + second.counted.dropped,
    }.items():
        measured(where + what, difference, "== 0")
    measured(f"{where}broken by the kill", len(story.broken), f"<= {AT_ONCE}")
    measured.note(f"{where}killed: {len(unlogged)} of {len(story.served[KILLED])} served are not logged")


def test_a_full_disk_costs_rows_that_are_counted_and_no_request(
    provider: Child, tmp_path: Path, measured: Measured
) -> None:
    narrows = Apart(tmp_path, resources=RESOURCES.format(url=provider.said))
    with small_disk(tmp_path / "state" / "edge", size_bytes=SPOOL_BYTES) as disk, narrows:
        edge = narrows.processes["edge"]
        disk.fill()
        before = _ask(narrows, 200)
        time.sleep(WRITTEN_S)
        told, first = status(edge), counted(edge)
        edge.kill()
        edge.start()
        edge.wait_until_ready()
        after = _ask(narrows, 200, first=100_001)
        disk.give_room()
        roomy = _ask(narrows, 200, first=200_001)
        wait_until_sent([edge])
        again, second = status(edge), counted(edge)
        rows, rows_again = rows_of(narrows, told["instance"]), rows_of(narrows, again["instance"])

    failed = [asked for asked in before + after + roomy if asked.status != 200]
    measured("full disk: requests failed, over a restart", len(failed), "== 0")
    measured("dropped", min(first.dropped, second.dropped), ">= 1")
    measured("dropped less told", first.dropped - told["spool"]["dropped"], "== 0")
    measured("requests less rows and drops", len(before) - len(rows) - first.dropped, "== 0")
    missing = len(after + roomy) - len(rows_again) - second.dropped
    measured("requests less rows and drops after the restart", missing, "== 0")
    unlogged = {asked.number for asked in roomy} - {number_of(row) for row in rows_again}
    measured("not logged once there is room", len(unlogged), "== 0")


def test_a_full_spool_drops_the_oldest_and_tells(provider: Child, tmp_path: Path, measured: Measured) -> None:
    narrows = Apart(
        tmp_path,
        resources=RESOURCES.format(url=provider.said),
        environment={"NARROWS_SPOOL_BYTES": str(SPOOL_BYTES)},
    )
    with narrows:
        edge, analytics = narrows.processes["edge"], narrows.processes["analytics"]
        analytics.kill()
        asked = _ask(narrows, 3_000, prompt="x" * PROMPT_BYTES)
        time.sleep(2 * WRITTEN_S)
        away = status(edge)["spool"]
        analytics.start()
        analytics.wait_until_ready()
        wait_until_sent([edge])
        told, last = status(edge), counted(edge)
        rows = rows_of(narrows, told["instance"])
        time.sleep(3 * WRITTEN_S)
        admin = get_json(f"{narrows.admin}/status")

    assert isinstance(admin, dict)
    measured("full spool: dropped", last.dropped, ">= 1")
    measured("bytes kept", away["bytes"], f"<= {SPOOL_BYTES + BATCH_BYTES}")
    measured("lag told, s", away["lag_s"], ">= 1")
    measured("lag told at the end, s", told["spool"]["lag_s"], "== 0")
    measured("requests less rows and drops", len(asked) - len(rows) - last.dropped, "== 0")
    measured("drops counted less told", last.dropped - told["spool"]["dropped"], "== 0")
    measured("drops counted less told on the admin port", last.dropped - admin["edges"][0]["spool"]["dropped"], "== 0")
    newest = {each.number for each in sorted(asked, key=lambda each: each.ended_s)[-100:]}
    measured("of the newest 100 dropped", len(newest - {number_of(row) for row in rows}), "== 0")


def _ask(narrows: Apart, count: int, *, first: int = 1, prompt: str = "How deep is it?") -> list[Asked]:
    """At least so many requests to the first edge, all of them over."""

    def request(number: int, edge: int) -> Request:
        return numbered(number, edge, prompt=prompt)

    with Load(narrows.edges, request, at_once=8, first=first) as load:
        load.wait_for(count, timeout_s=120)
    return load.asked
