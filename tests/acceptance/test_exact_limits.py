"""
Admitted means arrived at the provider: over eight edges, two limiters and a Redis, never more than the limit.

Twenty runs, each against a fresh limit of 1,000, with an edge killed or frozen or a limiter killed on the way; one in
which no limiter is left for a while; and a short sliding window saturated for a minute, of which no interval may hold
more than the limit.

Hazard: with both limiters gone for longer than a lease, what they granted and nobody heard of is lost, up to a lease an
edge; so that run has no lower bound.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import pytest

from services.limiter.window import slot_length_us
from tests.acceptance.measured import Measured
from tests.fakes.turnstile import Turnstile
from tests.harness.deployment import Apart
from tests.harness.faults import frozen, killed, killed_and_restarted
from tests.harness.saturation import BROKEN, Answered, Saturation

LIMIT = 1_000
FIXED_WINDOW_S, LONG_WINDOW_S, SHORT_WINDOW_S = 86_400, 600, 10
REFUSALS = 4_000
FAULT_AFTER = 300
FROZEN_S = 3.0
LIMITERS_AWAY_S = 1.0
REACHED_AGAIN_S = 2.5
"""A limiter that is back is away for an edge until that edge tries again: backoff is at most 2 s."""
LEASE_S = 1.0
SLACK_S = 0.1
"""Between two looks at the clock for what is told in whole seconds."""
RUN_S_MAX = 60.0
RUN_PER_S = 1_000.0
SATURATED_S = 60.0
SATURATED_PER_S = 400.0
"""Four times what the limit lets pass."""
EVEN, MOST_ON_ONE = (9,) * 8, (63,) + (1,) * 7
"""Clients of each edge; all ask equally often. 63 of 70 are 90 %."""
BODY = b'{"model":"m","messages":[{"role":"user","content":"pass"}]}'


@dataclass(frozen=True)
class Run:
    """One run; its name is its gateway's and its lane's at the provider."""

    technique: str
    load: str
    fault: str
    number: int = 1

    @property
    def name(self) -> str:
        return "-".join((self.technique, self.load, *self.fault.split(), str(self.number)))

    @property
    def clients(self) -> tuple[int, ...]:
        return EVEN if self.load == "even" else MOST_ON_ONE

    @property
    def window_s(self) -> int:
        return FIXED_WINDOW_S if self.technique == "fixed" else LONG_WINDOW_S


FAULTS = ("nothing", "edge killed", "limiter killed", "edge frozen")
RUNS = [Run(*each) for each in product(("fixed", "sliding"), ("even", "uneven"), FAULTS)] + [
    Run("fixed", "uneven", "edge killed", 2),
    Run("sliding", "uneven", "edge frozen", 2),
    Run("fixed", "uneven", "limiter killed", 2),
    Run("sliding", "uneven", "limiter killed", 2),
]
"""The second time it is the other limiter, so one of both runs kills the one that the loaded edge talks to."""
NO_LIMITER = Run("fixed", "even", "all limiters killed")
MINUTES = {"minute-even": EVEN, "minute-uneven": MOST_ON_ONE}


def gateway(url: str, name: str, technique: str, window_s: int) -> str:
    return f"""\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: {name}}}
spec:
  providers: {{openai: {{baseURL: "{url}/{name}/v1"}}}}
  limits:
    - {{name: all, unit: requests, limit: {LIMIT}, windowS: {window_s}, technique: {technique}, failMode: closed}}
---
"""


@pytest.fixture(scope="module")
def turnstile() -> Iterator[Turnstile]:
    with Turnstile() as turnstile:
        yield turnstile


@pytest.fixture(scope="module")
def narrows(turnstile: Turnstile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    resources = "".join(gateway(turnstile.url, run.name, run.technique, run.window_s) for run in [*RUNS, NO_LIMITER])
    resources += "".join(gateway(turnstile.url, name, "sliding", SHORT_WINDOW_S) for name in MINUTES)
    folder = tmp_path_factory.mktemp("exact-limits")
    with Apart(folder, resources=resources, replicas={"edge": 8, "limiter": 2}) as narrows:
        yield narrows


def day_left_s(at_s: float) -> float:
    """From a monotonic moment to the end of that day, when a fixed window of a day ends too."""
    return FIXED_WINDOW_S - (time.time() - time.monotonic() + at_s) % FIXED_WINDOW_S


def load(narrows: Apart, name: str, clients: tuple[int, ...], rate_per_s: float) -> Saturation:
    path = f"/v1/local/{name}/openai/chat/completions"
    return Saturation(narrows.edges, path, BODY, clients=clients, rate_per_s=rate_per_s)


async def go_wrong(run: Run, narrows: Apart) -> None:
    """Returns when the fault is over."""
    limiters = [narrows.processes["limiter-0"], narrows.processes["limiter-1"]]
    match run.fault:
        case "edge killed":
            await killed([narrows.processes["edge-0"]])
        case "edge frozen":
            await frozen([narrows.processes["edge-0"]], for_s=FROZEN_S)
        case "limiter killed":
            await killed_and_restarted([limiters[run.number - 1]], away_s=LIMITERS_AWAY_S)
        case "all limiters killed":
            await killed_and_restarted(limiters, away_s=LIMITERS_AWAY_S)


async def play(run: Run, narrows: Apart, saturation: Saturation) -> tuple[float, float]:
    """Load until enough was refused, and what goes wrong meanwhile; when that began and was over."""
    if run.technique == "fixed" and day_left_s(time.monotonic()) < RUN_S_MAX:
        await asyncio.sleep(RUN_S_MAX)
    moments = [0.0, 0.0]

    async def interfere() -> None:
        while saturation.statuses[200] < FAULT_AFTER:
            await asyncio.sleep(0.002)
        moments[0] = time.monotonic()
        await go_wrong(run, narrows)
        moments[1] = time.monotonic()

    async with asyncio.timeout(RUN_S_MAX), asyncio.TaskGroup() as tasks:
        fault = tasks.create_task(interfere())
        await saturation.run(lambda: saturation.statuses[429] >= REFUSALS and fault.done())
    return moments[0], moments[1]


def others(run: Run, answers: list[Answered], began_s: float, over_s: float) -> list[Answered]:
    """Answers that a run should not see: neither 200 nor 429, and not owed to what went wrong."""

    def is_owed(answered: Answered) -> bool:
        match answered.status:
            case 200 | 429:
                return True
            case 503:
                return (
                    run.fault.endswith(("limiter killed", "limiters killed"))
                    and began_s <= answered.at_s <= over_s + REACHED_AGAIN_S
                )
            case _:
                return answered.status == BROKEN and run.fault == "edge killed" and answered.edge == 0

    return [answered for answered in answers if not is_owed(answered)]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_what_arrives_is_the_limit_and_no_more(
    narrows: Apart, turnstile: Turnstile, run: Run, measured: Measured
) -> None:
    run_through(run, narrows, turnstile, measured, arrived="980..1000")


def test_no_more_arrives_when_no_limiter_is_left(narrows: Apart, turnstile: Turnstile, measured: Measured) -> None:
    run_through(NO_LIMITER, narrows, turnstile, measured, arrived=f"<= {LIMIT}")


def run_through(run: Run, narrows: Apart, turnstile: Turnstile, measured: Measured, *, arrived: str) -> None:
    """One run, and what it must show; `arrived`: the threshold of how many did."""
    saturation = load(narrows, run.name, run.clients, RUN_PER_S)
    try:
        began_s, over_s = asyncio.run(play(run, narrows, saturation))
    finally:
        restore(narrows)
    arrivals = turnstile.arrivals(run.name)
    statuses = saturation.statuses
    unexpected = others(run, saturation.answers, began_s, over_s)
    untrue = [each for each in saturation.answers if each.status != BROKEN and not is_true(run, each, arrivals)]

    measured(f"{run.name}: arrived", len(arrivals), arrived)
    measured("other answers", len(unexpected), "== 0")
    measured("untrue headers", len(untrue), "== 0")
    assert statuses[429] >= REFUSALS
    assert statuses[200] <= len(arrivals) <= statuses[200] + statuses[BROKEN]
    seen = Counter((each.edge, each.status, round(each.at_s - began_s, 1)) for each in unexpected)
    if unexpected:
        measured.note(f"by edge, status and seconds after the fault began {dict(seen)}")
    if untrue:
        measured.note(f"untrue {untrue[:3]}")


def is_true(run: Run, answered: Answered, arrivals: list[float]) -> bool:
    """Whether `RateLimit` says no more than there is, and when more comes back. Who is refused is told of nothing."""
    found = re.fullmatch(r'"all";r=(\d+);t=(\d+)', answered.rate_limit)
    if found is None:
        return False
    remaining, reset_s = int(found[1]), int(found[2])
    match answered.status:
        case 200:
            # A lease is spent from for less than a second: what had arrived before that was counted at its grant.
            counted = bisect_left(arrivals, answered.asked_at_s - LEASE_S)
            return remaining <= LIMIT - 1 - counted and is_in_time(run, answered, reset_s, arrivals[0])
        case 429:
            return remaining == 0 and is_in_time(run, answered, reset_s, arrivals[0])
        case _:
            return (remaining, reset_s) == (0, 1)


def is_in_time(run: Run, answered: Answered, reset_s: int, first_arrival_s: float) -> bool:
    """A fixed window ends at midnight; a sliding one lets go by whole sub-buckets. Seconds are whole, rounded down."""
    if run.technique == "fixed":
        first_s = last_s = answered.at_s + day_left_s(answered.at_s)
    else:
        first_s = first_arrival_s + LONG_WINDOW_S
        last_s = first_s + slot_length_us(LONG_WINDOW_S * 1_000_000) / 1_000_000
    is_soon_enough = answered.asked_at_s + reset_s <= last_s + SLACK_S
    return is_soon_enough and first_s <= answered.at_s + reset_s + 1 + SLACK_S


def restore(narrows: Apart) -> None:
    """Every process runs again for the next run."""
    for process in narrows.processes.values():
        if not process.is_running:
            process.start()
            process.wait_until_ready()


@pytest.mark.parametrize("name", MINUTES)
def test_no_interval_holds_more_than_a_sliding_limit(
    narrows: Apart, turnstile: Turnstile, name: str, measured: Measured
) -> None:
    saturation = load(narrows, name, MINUTES[name], SATURATED_PER_S)
    ends_s = time.monotonic() + SATURATED_S
    asyncio.run(saturation.run(lambda: time.monotonic() >= ends_s))
    arrivals = turnstile.arrivals(name)

    measured(f"{name}: most in any 10 s", most_in_any_window(arrivals, SHORT_WINDOW_S), f"<= {LIMIT}")
    measured("used", used(arrivals, SHORT_WINDOW_S, until_s=ends_s), ">= 0.98")
    measured("other answers", saturation.statuses.total() - saturation.statuses[200] - saturation.statuses[429], "== 0")
    assert len(arrivals) == saturation.statuses[200]


def most_in_any_window(arrivals: list[float], window_s: float) -> int:
    """The most that any interval of the window's length holds; it suffices to look at those that begin with one."""
    return max(bisect_left(arrivals, began_s + window_s) - first for first, began_s in enumerate(arrivals))


def used(arrivals: list[float], window_s: float, *, until_s: float) -> float:
    """How full the window that ends at a moment is, in the mean over all moments once the first window is past."""
    begins_s = arrivals[0] + window_s
    changes = sorted([(at_s, 1) for at_s in arrivals] + [(at_s + window_s, -1) for at_s in arrivals] + [(until_s, 0)])
    held, area = 0, 0.0
    for (at_s, change), (next_s, _) in pairwise(changes):
        held += change
        area += held * max(0.0, min(next_s, until_s) - max(at_s, begins_s))
    return area / (until_s - begins_s) / LIMIT
