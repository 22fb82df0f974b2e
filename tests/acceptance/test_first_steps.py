"""
From a clean clone in an empty folder: `make run`, then every curl line of the README, with its output as printed there.

Ids, dates and durations are masked; everything else must be the same, since the simulator answers the same bytes to the
same question.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.acceptance.measured import Measured
from tests.harness.processes import clean_environment, status_of

ROOT = Path(__file__).parents[2]
INSTALL_S = 600
MASKS = (
    (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<date>"),
    (r'"(duration|time_to_first_byte)":\s?\d+', r'"\1":<ms>'),
    (r'"total_count":\s?\d+', '"total_count":<count>'),
)


def commands(readme: str) -> list[tuple[str, str]]:
    """Every command of the README's console blocks, and what it printed."""
    blocks = re.findall(r"```console\n\$ (.*?)\n(.*?)```", readme, re.DOTALL)
    return [(command, output) for command, output in blocks]


def masked(text: str) -> str:
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return text.replace("\r", "").strip()


def wait_for_a_fresh_minute() -> None:
    """The limit's window is a minute of the clock; six requests should not fall into two."""
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60)


def test_the_readme_is_true(tmp_path: Path, measured: Measured) -> None:
    clone = tmp_path / "narrows"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    steps = commands((clone / "README.md").read_text())
    environment = clean_environment({"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    started_s = time.monotonic()
    with (tmp_path / "make-run.log").open("wb") as log:
        running = subprocess.Popen(
            ["make", "run"], cwd=clone, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        while status_of("http://127.0.0.1:8789/readyz") != 200:
            assert running.poll() is None, (tmp_path / "make-run.log").read_text()[-3000:]
            assert time.monotonic() - started_s < INSTALL_S, "not ready in time"
            time.sleep(0.2)
        ready_s = time.monotonic() - started_s
        wait_for_a_fresh_minute()
        wrong = [command for command, printed in steps if not prints(command, printed)]
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)

    measured("curl lines", len(steps), "== 6")
    measured("with another output than printed", len(wrong), "== 0")
    measured("minutes from clone to ready", round(ready_s / 60, 1), "<= 5")
    assert wrong == []


def prints(command: str, printed: str) -> bool:
    """Whether the command prints that. A log row takes up to some seconds to arrive, so it is looked at again."""
    said = ""
    for _ in range(10):
        said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30).stdout
        if masked(said) == masked(printed):
            return True
        if "/logs" not in command:
            break
        time.sleep(0.5)
    print(f"$ {command}\nprinted:  {masked(printed)}\nexpected: {masked(said)}")
    return False
