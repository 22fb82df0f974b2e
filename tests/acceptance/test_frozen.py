"""
What an edge leans on is frozen, refused and slow, one thing after the other, under a load that does not wait.

No request fails, the wait is short, and header, metric and `/status` say what is missing and when it is back.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.harness.crowd import OpenLoop, Outcome, Sent, ask
from tests.harness.deployment import Apart
from tests.harness.outages import CollectorServer, Frozen, Outage, Refused, Server, Slow, servers_of
from tests.harness.wires import Wires
from tests.harness.witness import Saying, Witness

RATE_PER_S = 200
SLOW_S = 0.3
SHARE = float(os.environ.get("FROZEN_SHARE", "1"))
"""Of their length, how long phases are: less only while the test itself is worked on, which then fails."""
WARM_UP_S, NORMAL_S, FROZEN_S, AFTER_S, OTHERS_S, OTHERS_AFTER_S = (
    2.0,
    15.0 * SHARE,
    45.0 * SHARE,
    15.0 * SHARE,
    20.0 * SHARE,
    5.0,
)
TAKEN_LATE = ("router", "collector")
"""What is said to these and by them comes late and is waited for by nobody: slow, they are not away."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: leaning}
spec:
  cache: {ttlS: 300}
  limits:
    - {name: plenty, unit: requests, limit: 1000000000, windowS: 3600, technique: fixed}
"""
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
PROVIDER = {"x-simulator-latency-ms": "20", "x-simulator-words": "1"}


@dataclass(frozen=True)
class Expected:
    """What is said while one is away. `header`: the names in `cf-aig-degraded`; `metric_s`: how soon the rest."""

    header: set[str]
    metric_s: float
    of_edge: tuple[str, ...]
    of_others: tuple[tuple[str, str], ...] = ()
    """Which processes besides the edge say what."""


EXPECTED = {
    "redis": Expected({"limiter", "cache"}, 1, ("limiter", "cache"), (("limiter", "redis"), ("cache", "redis"))),
    "limiter": Expected({"limiter"}, 1, ("limiter",)),
    "cache": Expected({"cache"}, 1, ("cache",)),
    "analytics": Expected(set(), 4, ("analytics",)),
    "router": Expected(set(), 4, ("router",)),
    "collector": Expected(set(), 4, ("collector",)),
}


class Stage:
    """A Narrows apart and all it leans on."""

    def __init__(self, narrows: Apart, collector: CollectorServer, wires: Wires | None) -> None:
        self.narrows = narrows
        self.servers: dict[str, Server] = servers_of(narrows.processes, narrows.redis, collector)
        self.wires = wires

    def witness(self, expected: Expected) -> Witness:
        said = [("edge", dependency) for dependency in expected.of_edge]
        healths = {name: process.health for name, process in self.narrows.processes.items()}
        return Witness([Saying(healths[name], dependency) for name, dependency in (*said, *expected.of_others)])

    def load(self) -> OpenLoop:
        url = f"{self.narrows.url}/v1/local/leaning/simulator/chat/completions"

        async def one() -> Outcome:
            """A question that nobody has asked before: it goes all the way."""
            question = {"model": "simulator-small", "messages": [{"role": "user", "content": str(uuid.uuid4())}]}
            return await ask(url, question, PROVIDER)

        return OpenLoop(one, rate_per_s=RATE_PER_S)


@pytest.fixture(scope="module", params=["direct", "through wires"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("frozen")
    with ExitStack() as stack:
        collector = stack.enter_context(CollectorServer())
        wires = stack.enter_context(Wires()) if request.param == "through wires" else None
        lay = (lambda name, port: port) if wires is None else wires.lay
        environment = {**SAMPLED, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{lay('collector', collector.port)}"}
        narrows = Apart(folder, resources=RESOURCES, environment=environment, between=lay)
        yield Stage(stack.enter_context(narrows), collector, wires)


@dataclass(frozen=True)
class Episode:
    """
    One outage. Times are monotonic seconds: it lasted from `began_s` to `ended_s`; from `back_s` on, which is later for
    what has to be started, everything is as before, and was watched to `left_s`.
    """

    name: str
    began_s: float
    ended_s: float
    back_s: float
    left_s: float


class Scene:
    """One dependency under load: first nothing happens to it, then one outage after the other."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.expected = EXPECTED[name]
        self.load = stage.load()
        self.witness = stage.witness(self.expected)
        self.normal: tuple[float, float] = (0.0, 0.0)
        self.episodes: list[Episode] = []

    async def play(self, *outages: tuple[Outage, float, float], normal_s: float) -> None:
        """Each outage with how long it lasts, and how long is watched what comes after it."""
        async with self.load.running(), self.witness.looking():
            await asyncio.sleep(WARM_UP_S)
            self.normal = time.monotonic(), time.monotonic() + normal_s
            await asyncio.sleep(normal_s)
            for outage, lasts_s, after_s in outages:
                self.episodes.append(await self._suffer(outage, lasts_s, after_s))

    async def _suffer(self, outage: Outage, lasts_s: float, after_s: float) -> Episode:
        began_s = time.monotonic()
        await asyncio.to_thread(outage.begin)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            ended_s = time.monotonic()
            await asyncio.to_thread(outage.end)
        back_s = time.monotonic()
        await asyncio.sleep(after_s)
        return Episode(outage.name, began_s, ended_s, back_s, time.monotonic())

    def p99_ms(self, begin_s: float, end_s: float) -> float:
        took_s = sorted(one.took_s for one in self.load.between(begin_s, end_s))
        return took_s[len(took_s) * 99 // 100] * 1000

    def header_after_s(self, episode: Episode) -> float:
        """How long the outage had lasted when the last request was sent that it outlasted and whose answer hides it."""
        begin_s, end_s, names = episode.began_s, episode.ended_s, self.expected.header
        answered = [one for one in self.load.between(begin_s, end_s) if one.ended_at_s < end_s]
        assert answered, f"{episode.name}: no answer came while it lasted"
        return max((one.due_at_s for one in answered if not names <= degraded(one)), default=begin_s) - begin_s

    def header_gone_s(self, episode: Episode) -> float:
        """How long the outage was over when a second began in which no answer says so any more."""
        quiet_since_s = episode.back_s
        for one in sorted(self.load.between(episode.back_s, episode.left_s), key=lambda one: one.due_at_s):
            if one.due_at_s >= quiet_since_s + 1:
                return quiet_since_s - episode.back_s
            if self.expected.header & degraded(one):
                quiet_since_s = one.due_at_s
        return episode.left_s - episode.back_s

    def measure(self, measured: Measured) -> None:
        """Every value beside its threshold."""
        failed = [one.outcome for one in self.load.sent if one.outcome.status != 200 or not is_whole(one)]
        assert len(self.load.sent) > RATE_PER_S * (self.episodes[-1].left_s - self.normal[0]) * 0.99
        if SHARE != 1:
            measured("share of their length that phases had", SHARE, "== 1")
        measured(f"{self.name}: failed requests", len(failed), "== 0")
        for episode in self.episodes:
            self._measure_latency(episode, measured)
            self._measure_sayings(episode, measured)
        assert not failed, failed[:3]

    def _measure_latency(self, episode: Episode, measured: Measured) -> None:
        above_ms = self.p99_ms(episode.began_s, episode.ended_s) - self.p99_ms(*self.normal)
        if episode.name == "frozen":
            measured(f"{self.name} frozen: p99 above normal, ms", above_ms, "<= 50")
        else:
            measured.note(f"{self.name} {episode.name}: p99 above normal, ms {above_ms:.3g}")

    def _measure_sayings(self, episode: Episode, measured: Measured) -> None:
        case, witness = f"{self.name} {episode.name}", self.witness
        if episode.name == "slow" and self.name in TAKEN_LATE:
            measured(f"{case}: times said to be down", witness.times_down(episode.began_s, episode.left_s), "== 0")
            return
        if self.expected.header:
            measured(f"{case}: header, s", self.header_after_s(episode), "<= 1")
            measured(f"{case}: header gone, s", self.header_gone_s(episode), "<= 3")
        down_s = witness.settled_after_s(episode.began_s, episode.ended_s, is_down=True)
        up_s = witness.settled_after_s(episode.back_s, episode.left_s, is_down=False)
        measured(f"{case}: metric and status, s", down_s, f"<= {self.expected.metric_s}")
        measured(f"{case}: metric and status gone, s", up_s, "<= 3")


def degraded(one: Sent) -> set[str]:
    return set(filter(None, one.outcome.headers.get("cf-aig-degraded", "").split(",")))


def is_whole(one: Sent) -> bool:
    return json.loads(one.outcome.body or b"{}").get("object") == "chat.completion"


@pytest.mark.parametrize("stage", ["direct"], indirect=True)
@pytest.mark.parametrize("name", EXPECTED)
def test_frozen_then_refused(stage: Stage, name: str, measured: Measured) -> None:
    scene, server = Scene(stage, name), stage.servers[name]

    outages = (Frozen(server), FROZEN_S, AFTER_S), (Refused(server), OTHERS_S, OTHERS_AFTER_S)
    asyncio.run(scene.play(*outages, normal_s=NORMAL_S))

    scene.measure(measured)


@pytest.mark.parametrize("stage", ["through wires"], indirect=True)
@pytest.mark.parametrize("name", EXPECTED)
def test_slow(stage: Stage, name: str, measured: Measured) -> None:
    assert stage.wires is not None
    scene = Scene(stage, name)

    outage = Slow(stage.wires, name, delay_s=SLOW_S), OTHERS_S, OTHERS_AFTER_S
    asyncio.run(scene.play(outage, normal_s=OTHERS_AFTER_S))

    scene.measure(measured)
