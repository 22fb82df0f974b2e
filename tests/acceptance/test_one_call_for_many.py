"""
Two edges, two caches and a Redis as processes: a hundred identical requests become one upstream call, also when the
edge that makes it is killed with -9. The provider numbers its calls in its text, so no mixture of two goes unseen.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.numbered import BEFORE_ITS_HEAD, NumberedProvider, calls_in
from tests.harness.crowd import Outcome, ask
from tests.harness.deployment import Apart
from tests.harness.metrics import metric

REQUESTS = 100
ROUNDS = 5
"""So that both caches own some of the questions."""
AFTERWARDS = 20
WAIT_S = 10.0
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: cached}}
spec:
  providers: {{openai: {{baseURL: "{url}/v1"}}}}
  cache: {{ttlS: 300}}
"""

kinds = pytest.mark.parametrize("stream", [False, True], ids=["JSON", "SSE"])


@pytest.fixture(scope="module")
def provider() -> Iterator[NumberedProvider]:
    with NumberedProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def narrows(provider: NumberedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder: Path = tmp_path_factory.mktemp("one-call-for-many")
    with Apart(folder, resources=RESOURCES.format(url=provider.url), replicas={"edge": 2, "cache": 2}) as narrows:
        yield narrows


class Crowd:
    """Clients that all ask the same question."""

    def __init__(self, narrows: Apart, *, stream: bool) -> None:
        self._urls = [f"{edge}/v1/local/cached/openai/chat/completions" for edge in narrows.edges]
        self._question = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": str(uuid.uuid4())}]}
        self._running: list[asyncio.Task[Outcome]] = []

    def ask(self, edge: int, count: int = 1) -> list[Outcome]:
        """So many clients more at that edge; what each gets is filled in as it comes."""
        outcomes = [Outcome(0) for _ in range(count)]
        for outcome in outcomes:
            self._running.append(asyncio.create_task(ask(self._urls[edge], self._question, outcome=outcome)))
        return outcomes

    async def finish(self) -> None:
        """Returns when every client has its end."""
        await asyncio.gather(*self._running)


def joins(narrows: Apart) -> int:
    """How often a request has joined another's fill, at both caches."""
    caches = (narrows.processes[name] for name in ("cache-0", "cache-1"))
    return int(sum(metric(cache, "narrows_cache_replies_total", reply="join") for cache in caches))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_so():
            await asyncio.sleep(0.01)


def kind(stream: bool) -> str:
    return "SSE" if stream else "JSON"


def restart(narrows: Apart, name: str) -> None:
    """Bring a killed process back for the next test."""
    narrows.processes[name].start()
    narrows.processes[name].wait_until_ready()


@kinds
async def test_a_hundred_identical_requests_are_one_call(
    narrows: Apart, provider: NumberedProvider, stream: bool, measured: Measured
) -> None:
    calls, failed = [], 0
    for _ in range(ROUNDS):
        provider.begin(first_piece_s=0.2)
        crowd = Crowd(narrows, stream=stream)
        outcomes = crowd.ask(0, REQUESTS // 2) + crowd.ask(1, REQUESTS // 2)
        await crowd.finish()
        calls.append(len(provider.calls))
        failed += sum(outcome.status != 200 or calls_in(outcome.body) != [1] for outcome in outcomes)

    measured(f"most upstream calls for {REQUESTS} requests, {kind(stream)}", max(calls), "== 1")
    measured("clients without the whole answer", failed, "== 0")


@kinds
@pytest.mark.parametrize("held_at", [BEFORE_ITS_HEAD, 0], ids=["no head", "no event"])
async def test_an_edge_that_is_killed_before_its_first_event_costs_one_call_more(
    narrows: Apart, provider: NumberedProvider, held_at: int, stream: bool, measured: Measured
) -> None:
    provider.begin(held={1: held_at})
    crowd, joined_before = Crowd(narrows, stream=stream), joins(narrows)
    filler = crowd.ask(0)
    await until(lambda: len(provider.calls) == 1)
    doomed = crowd.ask(0, REQUESTS // 2 - 1)  # first: those of the killed edge are then the next in line
    await until(lambda: joins(narrows) == joined_before + REQUESTS // 2 - 1)
    others = crowd.ask(1, REQUESTS // 2)
    await until(lambda: joins(narrows) == joined_before + REQUESTS - 1)

    narrows.processes["edge-0"].kill()
    await crowd.finish()
    restart(narrows, "edge-0")

    before = "head" if held_at == BEFORE_ITS_HEAD else "event"
    measured(f"upstream calls, killed before its first {before}, {kind(stream)}", len(provider.calls), "<= 2")
    measured("failed clients on the other edge", sum(each.status != 200 for each in others), "== 0")
    assert {tuple(calls_in(each.body)) for each in others} == {(2,)}
    assert not any(each.body for each in filler + doomed)


@kinds
async def test_an_edge_that_is_killed_in_the_middle_leaves_broken_ends_and_no_mixture(
    narrows: Apart, provider: NumberedProvider, stream: bool, measured: Measured
) -> None:
    provider.begin(held={1: 5})
    crowd = Crowd(narrows, stream=stream)
    doomed = crowd.ask(0, REQUESTS // 2)
    await until(lambda: all(each.body for each in doomed))
    followers = crowd.ask(1, REQUESTS // 2)
    await until(lambda: all(calls_in(each.body) == [1] for each in followers))

    narrows.processes["edge-0"].kill()
    meanwhile = crowd.ask(1, AFTERWARDS)
    await until(lambda: all(each.error for each in followers))
    afterwards = crowd.ask(1, AFTERWARDS)
    await crowd.finish()
    restart(narrows, "edge-0")

    everybody = doomed + followers + meanwhile + afterwards
    broken = [each for each in followers if not each.status and each.headers]
    served = [each for each in meanwhile + afterwards if each.status == 200 and b"call 2" in each.body]
    without_bytes = [each for each in meanwhile + afterwards if calls_in(each.body) != [1]]
    measured(f"broken ends of {len(followers)} followers, {kind(stream)}", len(broken), f"== {len(followers)}")
    measured("answers with bytes of two calls", sum(len(calls_in(each.body)) > 1 for each in everybody), "== 0")
    measured("others that were not served", len(without_bytes) - len(served), "== 0")
    measured("upstream calls", len(provider.calls), "== 2")
    assert len(afterwards) <= len(served)
    assert all((b'"error"' in each.body) == stream and b"[DONE]" not in each.body for each in broken)
