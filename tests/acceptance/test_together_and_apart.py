"""The same end-to-end suite passes in one process and as five processes with Redis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("form", ["together", "apart"])
def test_the_end_to_end_suite_passes(form: str, measured: Measured) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e"],
        cwd=ROOT,
        env={**os.environ, "NARROWS_E2E": form},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    said = finished.stdout
    passed = int((re.search(r"(\d+) passed", said) or ["", "0"])[1])
    assert finished.returncode == 0, said[-3000:]
    assert "skipped" not in said
    measured(f"passed {form}", passed, ">= 30")
