"""
A million requests of many kinds, with faults, through one edge apart: its memory stops growing, and what it opened it
closes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.bench.driver import rss_mib
from tests.endurance.bulk import Bulk, Mock
from tests.endurance.faults import Faults
from tests.harness.deployment import Apart
from tests.harness.http import post
from tests.harness.metrics import metric

REQUESTS = 1_000_000
FITTED = 800_000
MINUTES_MAX = 25
SAMPLE_EVERY_S = 1.0
SETTLED_S_MAX = 90
"""For idle connections to providers to be closed, 30 s, and rows to be stored."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: full}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  cache: {{ttlS: 300}}
  limits:
    - {{name: per-minute, unit: requests, limit: 100000000, windowS: 60, technique: sliding}}
    - {{name: per-day, unit: requests, limit: 1000000000, windowS: 86400, technique: fixed}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: spent}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  limits: [{{name: one, unit: requests, limit: 1, windowS: 86400, technique: fixed}}]
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: faults}}
spec: {{}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: keyed}}
spec:
  cache: {{ttlS: 300}}
  limits: [{{name: user, unit: requests, limit: 100, windowS: 60, technique: sliding, key: [metadata.user]}}]
"""


@dataclass(frozen=True)
class Holding:
    """What an edge holds at one moment."""

    files: float
    tasks: float


class Watch(threading.Thread):
    """Notes the edge's memory beside the number of requests it has ended, until told to stop."""

    def __init__(self, narrows: Apart) -> None:
        super().__init__(daemon=True)
        self._edge = narrows.processes["edge"]
        self._ended = threading.Event()
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self.samples.append((metric(self._edge, "narrows_requests_total"), rss_mib(self._edge.pid)))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def slope(samples: list[tuple[float, float]]) -> float:
    """MiB per 100,000 requests, by least squares."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    return covariance / sum((x - mean_x) ** 2 for x, _ in samples) * 100_000


def used_once(narrows: Apart) -> Holding:
    """What it holds when all has been used and nothing is going on: the limit of one is spent, files are open."""
    for gateway in ("full", "spent"):
        answer = post(f"{narrows.url}/v1/local/{gateway}/openai/chat/completions", {"model": "m", "messages": []})
        assert answer.status == 200
    gives_up_at_s = time.monotonic() + SETTLED_S_MAX
    while metric(narrows.processes["edge"], "narrows_upstream_connections"):
        assert time.monotonic() < gives_up_at_s, "connections to providers were not closed, though idle"
        time.sleep(1)
    return holding(narrows)


def holding(narrows: Apart) -> Holding:
    edge = narrows.processes["edge"]
    held = Holding(metric(edge, "process_open_fds"), metric(edge, "narrows_tasks"))
    assert min(held.files, held.tasks) > 0, f"nothing runs without files and tasks, so it does not tell: {held}"
    return held


def settled(narrows: Apart, start: Holding) -> Holding:
    """What it holds once nothing is going on: as at the start, or what is left after a while."""
    gives_up_at_s = time.monotonic() + SETTLED_S_MAX
    while True:
        now = holding(narrows)
        if (now.files <= start.files and now.tasks <= start.tasks) or time.monotonic() > gives_up_at_s:
            return now
        time.sleep(1)


def drive(narrows: Apart, folder: Path) -> tuple[Bulk, Faults]:
    """All requests: the bulk in threads of its own, the faults on a loop here, until the bulk is done."""
    bulk, faults = Bulk(narrows.url, folder), Faults(narrows.url)

    async def both() -> None:
        running = asyncio.create_task(asyncio.to_thread(bulk.run, REQUESTS))
        await faults.run(running.done)
        await running

    asyncio.run(both())
    return bulk, faults


@pytest.mark.timeout(MINUTES_MAX * 60 + 300)
def test_a_million_requests_leave_the_edge_as_it_was(tmp_path: Path, measured: Measured) -> None:
    with Mock() as mock, Apart(tmp_path, resources=RESOURCES.format(url=mock.url)) as narrows:
        start = used_once(narrows)
        watch = Watch(narrows)
        watch.start()
        began_at_s = time.monotonic()
        bulk, faults = drive(narrows, tmp_path)
        minutes = (time.monotonic() - began_at_s) / 60
        watch.stop()
        end = settled(narrows, start)

    last = watch.samples[-1][0]
    fitted = [sample for sample in watch.samples if sample[0] >= last - FITTED]
    measured("requests", bulk.sent + faults.sent, f">= {REQUESTS}")
    measured("minutes", minutes, f"< {MINUTES_MAX}")
    measured("RSS growth, MiB per 100,000", slope(fitted), "<= 1")
    measured.note(f"RSS {watch.samples[0][1]:.0f} MiB to {watch.samples[-1][1]:.0f} MiB")
    measured("file descriptors over the start", end.files - start.files, "<= 0")
    measured("tasks over the start", end.tasks - start.tasks, "<= 0")
    measured("answers of the bulk that were not as expected", bulk.unexpected, "== 0")
    measured(f"faults of {faults.sent} answered otherwise than they must", faults.wrong.total(), "== 0")
    assert not faults.wrong
