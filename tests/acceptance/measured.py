"""
Measured: what an acceptance test found, each value beside the threshold it had to meet.

A threshold is written as one reads it: `<= 3`, `== 0`, `>= 20000`, `980..1000`. A value that misses it fails the
test at its end, so that all values of a run are seen; nothing here can be skipped or widened in silence.
"""

from __future__ import annotations

import operator
from pathlib import Path

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq, "<": operator.lt, ">": operator.gt}


def is_met(value: float, threshold: str) -> bool:
    """Does the value keep to the threshold? A threshold that cannot be read is an error of the test."""
    lowest, dots, highest = threshold.partition("..")
    if dots:
        return float(lowest) <= value <= float(highest)
    for sign, compare in COMPARISONS.items():
        if threshold.startswith(sign):
            return bool(compare(value, float(threshold.removeprefix(sign))))
    raise ValueError(f"{threshold}: a threshold is one of {', '.join(COMPARISONS)} and a number, or `lowest..highest`")


def written(value: float) -> str:
    """Whole numbers whole, others to three significant digits."""
    return str(int(value)) if value == int(value) else f"{value:.3g}"


class Measured:
    """The values of one acceptance test; tests of one file share it and write one line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: list[str] = []
        self.misses: list[str] = []

    def __call__(self, what: str, value: float, threshold: str) -> None:
        """Note a value; it fails the test unless it meets the threshold."""
        part = f"{what} {written(value)} ({threshold})"
        self._parts.append(part)
        if not is_met(value, threshold):
            self.misses.append(part)

    def note(self, text: str) -> None:
        """Something worth reading that has no threshold."""
        self._parts.append(text)

    @property
    def line(self) -> str:
        """`name: measured (threshold), ...`"""
        return f"{self._name}: {', '.join(self._parts)}"

    def write(self, folder: Path) -> None:
        """Leave the line where `make acceptance` looks for it."""
        if self._parts:
            folder.mkdir(exist_ok=True)
            (folder / f"{self._name}.line").write_text(self.line + "\n")
