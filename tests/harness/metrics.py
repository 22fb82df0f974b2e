"""Metrics: what a process says on `/metrics`, series by series and added up."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

from tests.harness.processes import NarrowsProcess

_LABEL = re.compile(r'(\w+)="([^"]*)"')


def metric(process: NarrowsProcess, name: str, /, **only: str) -> float:
    """The sum over all series of this name that have these labels; 0 when there are none."""
    return sum(value for _, value in series(metrics_page(process), name, **only))


def metrics_page(process: NarrowsProcess) -> str:
    """All that it says."""
    with urllib.request.urlopen(f"http://{process.health}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def series(page: str, name: str, /, **only: str) -> Iterator[tuple[dict[str, str], float]]:
    """Labels and value of each series of this name that has these labels."""
    for written, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", page, re.MULTILINE):
        labels = dict(_LABEL.findall(written))
        if only.items() <= labels.items():
            yield labels, float(value)
