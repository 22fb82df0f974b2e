"""
Gateways change, break, are repaired and removed under load: those that stay fail no request, and each change is
live within 1 s.

And an edge that restarts while the router is down serves on from its copy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.origin import Origin, answer
from tests.harness.crowd import Outcome, ask
from tests.harness.deployment import Apart
from tests.harness.http import post
from tests.harness.processes import get_json

CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
LIVE_S = 1.0


def gateway(name: str, spec: str) -> str:
    return (
        f"apiVersion: narrows.dev/v1alpha1\nkind: Gateway\nmetadata: {{namespace: local, name: {name}}}\nspec: {spec}\n"
    )


class Load:
    """Requests to the gateway that stays, all the time, from a thread of its own."""

    def __init__(self, url: str) -> None:
        self.outcomes: list[Outcome] = []
        self._url = url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    async def _run(self) -> None:
        async def work() -> None:
            while not self._is_over.is_set():
                self.outcomes.append(await ask(self._url, CHAT))

        await asyncio.gather(*(work() for _ in range(8)))


@pytest.fixture(scope="module")
def origins() -> Iterator[tuple[Origin, Origin]]:
    with (
        Origin(lambda call: call.send(answer(b'{"from": "one"}'))) as one,
        Origin(lambda call: call.send(answer(b'{"from": "two"}'))) as two,
    ):
        yield one, two


def live_after_s(condition: Callable[[], bool]) -> float:
    """How long until it holds."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < 10, "not live within 10 s"
        time.sleep(0.01)
    return time.monotonic() - started_s


def test_changes_are_live_and_nobody_else_notices(
    tmp_path: Path, origins: tuple[Origin, Origin], measured: Measured
) -> None:
    one, two = origins
    stays = gateway("stays", f'{{providers: {{openai: {{baseURL: "{one.url}/v1"}}}}}}')
    moves_to_one = gateway("moves", f'{{providers: {{openai: {{baseURL: "{one.url}/v1"}}}}}}')
    moves_to_two = gateway("moves", f'{{providers: {{openai: {{baseURL: "{two.url}/v1"}}}}}}')
    broken = gateway("moves", "{limits: [{name: x, unit: requests, limit: 5, windowS: -5, technique: fixed}]}")

    with Apart(tmp_path, resources=f"{stays}---\n{moves_to_one}", replicas={"edge": 2}) as narrows:
        urls = [f"{edge}/v1/local/moves/openai/x" for edge in narrows.edges]

        def everywhere(content: bytes) -> bool:
            return all(post(url, {}).body == content for url in urls)

        def refused() -> list[dict[str, str]]:
            status = get_json(f"{narrows.admin}/status")
            assert isinstance(status, dict)
            found: list[dict[str, str]] = status["refused_resources"]
            return found

        with Load(f"{narrows.url}/v1/local/stays/openai/chat/completions") as load:
            time.sleep(0.5)
            narrows.write_resources(f"{stays}---\n{moves_to_two}")
            changed_s = live_after_s(lambda: everywhere(b'{"from": "two"}'))

            narrows.write_resources(f"{stays}---\n{broken}")
            live_after_s(lambda: bool(refused()))
            assert "spec.limits[0].windowS" in refused()[0]["reason"]
            assert everywhere(b'{"from": "two"}')

            narrows.write_resources(f"{stays}---\n{moves_to_one}")
            repaired_s = live_after_s(lambda: everywhere(b'{"from": "one"}'))
            live_after_s(lambda: not refused())

            narrows.write_resources(stays)
            removed_s = live_after_s(lambda: all(post(url, {}).status == 404 for url in urls))

        failed = [outcome for outcome in load.outcomes if outcome.status != 200]
        measured("changed live after s", round(changed_s, 2), f"<= {LIVE_S}")
        measured("repaired live after s", round(repaired_s, 2), f"<= {LIVE_S}")
        measured("removed live after s", round(removed_s, 2), f"<= {LIVE_S}")
        measured("requests meanwhile", len(load.outcomes), "> 100")
        measured("failed", len(failed), "== 0")


def test_an_edge_restarts_with_the_router_down(
    tmp_path: Path, origins: tuple[Origin, Origin], measured: Measured
) -> None:
    stays = gateway("stays", f'{{providers: {{openai: {{baseURL: "{origins[0].url}/v1"}}}}}}')
    with Apart(tmp_path, resources=stays) as narrows:
        url = f"{narrows.url}/v1/local/stays/openai/chat/completions"
        assert post(url, CHAT).status == 200
        narrows.processes["router"].kill()
        edge = narrows.processes["edge"]
        edge.stop()
        edge.start()
        edge.wait_until_ready()

        statuses = [post(url, CHAT).status for _ in range(10)]

        measured("served without a router", statuses.count(200), "== 10")
