"""Each file in `bad/` is named by its fault; its first line is what the operator is told, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.dialects.catalogue import DIALECTS
from services.router.check import check_text

ENVIRONMENT = {"CI_TOKEN": "a-token", "EMPTY": "", "TWO_LINES": "canary-secret\nx-evil: 1"}
BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"), key=lambda path: path.name)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_document_is_refused_with_the_path_of_its_fault(path: Path) -> None:
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("# ").replace("DIALECTS", ", ".join(DIALECTS))

    refusals = check_text(text, title="bad.yaml", environment=ENVIRONMENT)

    assert [f"{refusal.resource}: {refusal.reason}" for refusal in refusals] == [expected]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_no_refusal_repeats_what_may_be_a_secret(path: Path) -> None:
    refusals = check_text(path.read_text(), title="bad.yaml", environment=ENVIRONMENT)

    assert "canary-secret" not in str(refusals)
