from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.measured import Measured, is_met


@pytest.mark.parametrize(
    ("value", "threshold", "expected"),
    [(3, "<= 3", True), (3.1, "<= 3", False), (0, "== 0", True), (979, "980..1000", False), (980, "980..1000", True)],
)
def test_a_threshold_reads_as_it_is_written(value: float, threshold: str, expected: bool) -> None:
    assert is_met(value, threshold) is expected


def test_a_threshold_without_a_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="about 3: a threshold is one of"):
        is_met(3, "about 3")


def test_the_line_names_each_value_beside_its_threshold(tmp_path: Path) -> None:
    measured = Measured("limits")
    measured("admitted", 995, "980..1000")
    measured("edge to nginx", 5.4321, "<= 6")
    measured.note("8 edges")

    measured.write(tmp_path)

    line = (tmp_path / "limits.line").read_text()
    assert line == "limits: admitted 995 (980..1000), edge to nginx 5.43 (<= 6), 8 edges\n"
    assert measured.misses == []


def test_a_value_that_misses_its_threshold_is_remembered() -> None:
    measured = Measured("limits")

    measured("admitted", 1001, "980..1000")

    assert measured.misses == ["admitted 1001 (980..1000)"]
