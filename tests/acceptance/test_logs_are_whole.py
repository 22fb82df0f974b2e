"""20,000 requests while analytics is killed with `kill -9` and restarted: every finished request is logged once."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from pathlib import Path

from tests.acceptance.measured import Measured
from tests.harness.crowd import Outcome, a_few_at_a_time, ask
from tests.harness.deployment import Apart
from tests.harness.processes import get_json

REQUESTS = 20_000
AT_ONCE = 32
CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "x"}]}
HEADERS = {"x-simulator-words": "1"}


def test_every_finished_request_is_logged_once(tmp_path: Path, measured: Measured) -> None:
    with Apart(tmp_path) as narrows:
        outcomes = _run(narrows)
        ids = [outcome.log_id for outcome in outcomes if outcome.status == 200]
        rows = _all_log_ids(narrows, expected=len(ids))

        missing, twice = set(ids) - set(rows), len(rows) - len(set(rows))
        measured("finished", len(ids), f"== {REQUESTS}")
        measured("missing", len(missing), "== 0")
        measured("twice", twice, "== 0")
        assert set(rows) == set(ids)


def _run(narrows: Apart) -> list[Outcome]:
    """All requests; analytics dies and comes back while they run."""
    url = f"{narrows.url}/v1/local/main/simulator/chat/completions"
    done: list[int] = []

    async def one() -> Outcome:
        outcome = await ask(url, CHAT, HEADERS)
        done.append(outcome.status)
        return outcome

    def kill_midway() -> None:
        analytics = narrows.processes["analytics"]
        while len(done) < REQUESTS // 2:
            time.sleep(0.02)
        analytics.kill()
        time.sleep(2)
        analytics.start()
        analytics.wait_until_ready()

    killer = threading.Thread(target=kill_midway)
    killer.start()
    outcomes = asyncio.run(a_few_at_a_time([partial(one) for _ in range(REQUESTS)], at_once=AT_ONCE))
    killer.join()
    return outcomes


def _all_log_ids(narrows: Apart, *, expected: int) -> list[str]:
    """Every id in the log list, once no more come."""
    deadline_s = time.monotonic() + 60
    while _total(narrows) < expected and time.monotonic() < deadline_s:
        time.sleep(0.5)
    time.sleep(2)
    rows: list[str] = []
    page = 1
    while batch := narrows.logs(query=f"?per_page=50&page={page}&order_by=created_at&order_by_direction=asc"):
        rows.extend(str(row["id"]) for row in batch)
        page += 1
    return rows


def _total(narrows: Apart) -> int:
    url = f"{narrows.admin}/client/v4/accounts/local/ai-gateway/gateways/main/logs?per_page=1"
    answer = get_json(url)
    assert isinstance(answer, dict)
    return int(answer["result_info"]["total_count"])
