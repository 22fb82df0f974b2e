from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.boundaries import backoff_loops, breaches, provider_names


@pytest.mark.parametrize(
    "line",
    [
        'if provider == "openai":',
        "class AnthropicError(Exception):",
        "names = {'replicate': 1}",
        "# as claude does",
        'if shape == "google":',
    ],
)
def test_a_line_that_names_a_provider_is_found(line: str) -> None:
    assert [number for number, _ in provider_names(f"\n{line}\n")] == [2]


@pytest.mark.parametrize(
    "line", ["replicas are replicated in parallel", "a fallible falcon groks it", "from google.rpc import status_pb2"]
)
def test_ordinary_words_name_no_provider(line: str) -> None:
    assert list(provider_names(line)) == []


@pytest.mark.parametrize(
    "growth", ["delay_s *= 2", "delay_s = min(delay_s * 2, 5)", "self.delay_s = self.delay_s ** 2"]
)
def test_a_loop_that_waits_longer_each_time_is_found(growth: str) -> None:
    source = f"async def run():\n    while True:\n        await asyncio.sleep(delay_s)\n        {growth}\n"

    assert [number for number, _ in backoff_loops(source)] == [2]


@pytest.mark.parametrize(
    "loop",
    [
        "for attempt in range(5):\n        await asyncio.sleep(0.1 * 2**attempt)",
        "for attempt in range(5):\n        time.sleep(attempt * pause_s)",
        "for delay_s in (0.1, 0.2, 0.4):\n        await asyncio.sleep(delay_s)",
        "while True:\n        await asyncio.wait_for(done.wait(), timeout=base_s << failures)",
        "while True:\n        loop.call_later(pause_s * failures, connect)",
    ],
)
def test_a_wait_that_is_computed_from_how_often_it_was_tried_is_found(loop: str) -> None:
    source = f"async def run():\n    {loop}\n"

    assert [number for number, _ in backoff_loops(source)] == [2]


@pytest.mark.parametrize(
    "loop",
    [
        "while True:\n        await asyncio.sleep(1)\n        total = price * count",
        "while True:\n        await asyncio.sleep(24 * 3600)",
        "for name in names:\n        await asyncio.sleep(pause_s)",
    ],
)
def test_a_loop_that_waits_evenly_is_no_backoff(loop: str) -> None:
    source = f"async def run():\n    {loop}\n"

    assert list(backoff_loops(source)) == []


def test_catalogue_and_reconnect_may_do_what_nobody_else_may(tmp_path: Path) -> None:
    loop = "async def run():\n    while True:\n        await sleep(d)\n        d *= 2\n"
    for path, source in (
        ("dialects/catalogue.py", 'NAME = "openai"'),
        ("kit/rpc/stream.py", loop),
        ("edge/x.py", loop),
    ):
        file = tmp_path / "services" / path
        file.parent.mkdir(parents=True)
        file.write_text(source)

    found = list(breaches(tmp_path))

    assert [breach.split(" ")[0] for breach in found] == ["services/edge/x.py:2"]
