"""
Books: what a running Narrows says happened, to be compared with what clients saw and what a provider served.

The log by the instance of the edge that wrote it, an edge's own metrics and spool, money in whole nanodollars.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.harness.deployment import Deployment
from tests.harness.metrics import metric
from tests.harness.processes import NarrowsProcess, get_json

Row = dict[str, Any]

SEND_S = 60.0
LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Counted:
    """An edge's metrics since it started."""

    requests: int
    cost_nanodollars: int
    dropped: int


def status(process: NarrowsProcess) -> dict[str, Any]:
    """A process' /status."""
    told = get_json(f"http://{process.health}/status")
    assert isinstance(told, dict)
    return told


def counted(edge: NarrowsProcess) -> Counted:
    """What an edge has counted."""
    return Counted(
        requests=int(metric(edge, "narrows_requests_total")),
        cost_nanodollars=round(metric(edge, "narrows_cost_usd_total") * 1e9),
        dropped=int(metric(edge, "narrows_spool_dropped_total")),
    )


def rows_of(narrows: Deployment, instance: str) -> list[Row]:
    """All that one instance of an edge has logged on the gateway `main`, oldest first."""
    filters = quote(json.dumps([{"key": "edge", "operator": "eq", "value": [instance]}]))
    rows: list[Row] = []
    page = 1
    while found := narrows.logs(query=f"?per_page=50&page={page}&filters={filters}&order_by_direction=asc"):
        rows.extend(found)
        page += 1
    return rows


def number_of(row: Row) -> int:
    """Which request it was, as the client's metadata says."""
    return int(row["metadata"]["number"])


def logged_nanodollars(rows: Sequence[Row]) -> int:
    """A row without a cost is worth nothing, so that the sum will differ."""
    return sum(round((row["cost"] or 0) * 1e9) for row in rows)


def wait_until_sent(edges: Sequence[NarrowsProcess]) -> None:
    """Returns when every edge's spool is empty."""
    deadline_s = time.monotonic() + SEND_S
    while any(status(edge)["spool"]["bytes"] for edge in edges):
        assert time.monotonic() < deadline_s, [status(edge)["spool"] for edge in edges]
        time.sleep(LOOK_EVERY_S)


class Lags:
    """What an edge's /status says of its lag while the block runs."""

    def __init__(self, edge: NarrowsProcess) -> None:
        self.seen_s: list[float] = []
        self._edge = edge
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Lags:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_S):
            self.seen_s.append(float(status(self._edge)["spool"]["lag_s"]))
