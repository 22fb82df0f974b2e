"""The chart, rendered by Helm; without Helm, and with nothing to build it, there is nothing to test."""

from __future__ import annotations

import subprocess

import pytest

from tests.charts.chart import ROOT, Chart


@pytest.fixture(scope="session")
def chart() -> Chart:
    found = subprocess.run([ROOT / "charts" / "helm"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip(found.stderr.strip())
    return Chart(found.stdout.strip())
