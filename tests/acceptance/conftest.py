"""
What makes a test an acceptance test: it is marked as one, may take minutes, never skips, and says what it measured.

`make test` runs only those marked `quick`; `make acceptance` runs all.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results"
TIMEOUT_S = 1_800
MEASURED = pytest.StashKey[dict[str, Measured]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.acceptance)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Generator[Measured]:
    """`measured("edges", 4, "== 4")`, `measured.note("...")`; one line for all tests of a file."""
    name = request.path.stem.removeprefix("test_")
    measured = request.config.stash.setdefault(MEASURED, {}).setdefault(name, Measured(name))
    yield measured
    measured.write(RESULTS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test that ran through, but measured too much or too little, has failed; the misses are its own."""
    measured = item.funcargs.get("measured") if isinstance(item, pytest.Function) else None
    if not isinstance(measured, Measured):
        yield
        return
    measured.misses.clear()
    yield
    if measured.misses:
        pytest.fail(f"missed: {', '.join(measured.misses)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What an acceptance test needs must be there: a skip is a failure."""
    report = yield
    if report.skipped and item.path.is_relative_to(HERE):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped; an acceptance test fails when what it needs is missing"
    return report
