"""CPU per request beside nginx in the same run, everything on: median of five paired rounds."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.measured import Measured
from tests.bench.cost import SERVICES, Bench, report

ROUNDS, SECONDS = 5, 2.0


def test_cost(tmp_path: Path, measured: Measured) -> None:
    with Bench(tmp_path) as bench:
        figures = bench.measure(rounds=ROUNDS, seconds=SECONDS)

    print("\n".join(report(figures)))
    measured("edge x nginx a request", round(figures["request"]["ratio"], 2), "<= 6")
    measured("edge x nginx an SSE event", round(figures["event"]["ratio"], 2), "<= 3")
    measured.note(f"cache hit {figures['hit']['ratio']:.2f} x, 429 {figures['refusal']['ratio']:.2f} x")
    services = ", ".join(f"{name} {figures['request'][name]:.0f} us" for name in (*SERVICES, "redis"))
    measured.note(f"a request: edge {figures['request']['edge']:.0f} us, {services}")
    measured.note(", ".join(f"{name} {mib:.0f} MiB" for name, mib in figures["memory"].items()))
