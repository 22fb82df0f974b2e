"""
`make bench`: CPU per request of every process of Narrows beside nginx, all features on, in one run.

Prints one line per figure and writes results/bench.json. ROUNDS (default 5) paired rounds, medians.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.cost import Bench, report

RESULTS = Path(__file__).parents[2] / "results"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of load per case and round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="narrows-bench-") as folder, Bench(Path(folder)) as bench:
        figures = bench.measure(rounds=arguments.rounds, seconds=arguments.seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench.json").write_text(json.dumps(figures, indent=1, sort_keys=True))
    print("\n".join(report(figures)), flush=True)


if __name__ == "__main__":
    main()
