"""Metrics: what a process says on `/metrics`, added up over labels."""

from __future__ import annotations

import re
import urllib.request

from tests.harness.processes import NarrowsProcess


def metric(process: NarrowsProcess, name: str, label: str = "") -> float:
    """The sum over all series of this name whose labels contain `label`; 0 when there are none."""
    with urllib.request.urlopen(f"http://{process.health}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    pattern = re.compile(rf"^{name}(\{{[^}}]*\}})? (\S+)$", re.MULTILINE)
    return sum(float(value) for labels, value in pattern.findall(text) if label in (labels or ""))
