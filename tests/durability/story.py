"""
One run: requests over two edges, analytics killed three times, one edge killed while analytics was away.

Everybody tells what happened: clients, the provider, the edges, the log. The questions on a `Story` are those whose
answers must be 0.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.durability.books import (
    Counted,
    Lags,
    Row,
    counted,
    logged_nanodollars,
    number_of,
    rows_of,
    status,
    wait_until_sent,
)
from tests.durability.load import Asked, Load, Request
from tests.fakes.providers.metered import ASKED_BY, NUMBER, cost_nanodollars
from tests.harness.deployment import Apart
from tests.harness.processes import NarrowsProcess, get_json

AT_ONCE = 32
AWAY_S = 2.0
SETTLED_S = 0.1
"""What ended so long before a kill of its edge must be in the log."""
LOAD_S = 600.0
LIVED, KILLED = 0, 1
"""Edges by their index."""


@dataclass(frozen=True, slots=True)
class Life:
    """One instance of an edge: its rows, and what it counted, unless it took that along."""

    rows: Sequence[Row]
    counted: Counted | None = None

    @property
    def cost_nanodollars(self) -> int:
        return logged_nanodollars(self.rows)

    @property
    def numbers(self) -> set[int]:
        return {number_of(row) for row in self.rows}


@dataclass(frozen=True, slots=True)
class Story:
    """`killed_s`: when the one edge died, which is `first` before that and `second` after it."""

    asked: Sequence[Asked]
    served: dict[int, set[int]]
    """Numbers of requests by edge."""
    lived: Life
    first: Life
    second: Life
    killed_s: float
    lag_s_max: float

    @property
    def finished(self) -> set[int]:
        return {asked.number for asked in self.asked if asked.status == 200}

    @property
    def broken(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.status != 200]

    @property
    def logged(self) -> Counter[int]:
        """How often each request is in the log."""
        return Counter(number_of(row) for life in (self.lived, self.first, self.second) for row in life.rows)

    def missing(self, edge: int) -> set[int]:
        """Finished, though not just before its edge died, and not in the log."""
        due = {asked.number for asked in self.asked if asked.edge == edge and self._must_be_logged(asked)}
        return due - self.logged.keys()

    def never_served(self) -> set[int]:
        """In the log, though nobody served it."""
        return self.logged.keys() - self.served[LIVED] - self.served[KILLED]

    def unlogged(self) -> set[int]:
        """What the killed edge's provider served and no log knows."""
        return self.served[KILLED] - self.first.numbers - self.second.numbers

    def unlogged_without_reason(self) -> set[int]:
        """Of those, what was neither in flight when the edge died nor had ended less than 100 ms before."""
        excused = {
            asked.number
            for asked in self.asked
            if asked.edge == KILLED and asked.started_s <= self.killed_s <= asked.ended_s + SETTLED_S
        }
        return self.unlogged() - excused

    def _must_be_logged(self, asked: Asked) -> bool:
        if asked.status != 200:
            return False
        is_of_the_dead = asked.edge == KILLED and asked.started_s <= self.killed_s
        return not is_of_the_dead or asked.ended_s <= self.killed_s - SETTLED_S


def tell_story(narrows: Apart, provider_url: str, *, requests: int) -> Story:
    """All requests and all deaths, and then the books of everybody."""
    edges = [narrows.processes["edge-0"], narrows.processes["edge-1"]]
    first = status(edges[KILLED])["instance"]
    with Load(narrows.edges, numbered, at_once=AT_ONCE) as load, Lags(edges[LIVED]) as lags:
        load.wait_for(requests // 5, timeout_s=LOAD_S)
        _kill_for_a_while(narrows.processes["analytics"])
        load.wait_for(2 * requests // 5, timeout_s=LOAD_S)
        killed_s = _kill_both(narrows.processes["analytics"], edges[KILLED])
        load.wait_for(4 * requests // 5, timeout_s=LOAD_S)
        _kill_for_a_while(narrows.processes["analytics"])
        load.wait_for(requests, timeout_s=LOAD_S)
    wait_until_sent(edges)
    lived, second = (Life(rows_of(narrows, status(edge)["instance"]), counted(edge)) for edge in edges)
    return Story(
        asked=load.asked,
        served=served_by_edge(provider_url),
        lived=lived,
        first=Life(rows_of(narrows, first)),
        second=second,
        killed_s=killed_s,
        lag_s_max=max(lags.seen_s),
    )


def served_by_edge(provider_url: str) -> dict[int, set[int]]:
    """Numbers of the requests that a metered provider has answered."""
    served = get_json(f"{provider_url}/v1/served")
    assert isinstance(served, list)
    return {edge: {number for by, number, *_ in served if by == str(edge)} for edge in (LIVED, KILLED)}


def served_nanodollars(numbers: set[int]) -> int:
    """What the provider asks for them."""
    return sum(map(cost_nanodollars, numbers))


def numbered(number: int, edge: int, *, prompt: str = "How deep is it?") -> Request:
    """Request `number` for an edge; every third one is streamed."""
    return Request(
        path="/v1/local/main/custom-metered/chat/completions",
        document={"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": number % 3 == 0},
        headers={NUMBER: str(number), ASKED_BY: str(edge), "cf-aig-metadata": json.dumps({"number": number})},
    )


def _kill_for_a_while(process: NarrowsProcess) -> None:
    process.kill()
    time.sleep(AWAY_S)
    process.start()
    process.wait_until_ready()


def _kill_both(analytics: NarrowsProcess, edge: NarrowsProcess) -> float:
    """The edge while analytics is away, so that what it logged is on its disk alone; gives when it died."""
    analytics.kill()
    time.sleep(AWAY_S / 2)
    killed_s = time.monotonic()
    edge.kill()
    time.sleep(AWAY_S / 2)
    edge.start()
    edge.wait_until_ready()
    analytics.start()
    analytics.wait_until_ready()
    return killed_s
