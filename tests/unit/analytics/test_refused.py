"""Refused batches: kept within a bound, under a name that cannot leave the folder."""

from __future__ import annotations

import os
from pathlib import Path

from services.analytics.refused import RefusedBatches
from tests.rows import event_batch, log_row


async def test_the_oldest_go_first(tmp_path: Path) -> None:
    size_bytes = len(event_batch([log_row(1)]).rows) + 1
    refused = RefusedBatches(folder=tmp_path, bound_bytes=2 * size_bytes + 100)
    for sequence in (1, 2, 3):
        await refused.set_aside(event_batch([log_row(1)], sequence=sequence), reason="r")
        os.utime(tmp_path / f"edge-1-{sequence}.lines", (sequence, sequence))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["edge-1-2.lines", "edge-1-3.lines"]
    assert refused.count == 3


async def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    refused = RefusedBatches(folder=tmp_path / "refused")
    await refused.set_aside(event_batch([log_row(1)], edge="../../evil"), reason="r")

    assert [path.name for path in (tmp_path / "refused").iterdir()] == ["______evil-1.lines"]


async def test_a_disk_that_does_not_allow_it_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("a file where the folder should be")
    refused = RefusedBatches(folder=tmp_path / "refused")
    await refused.set_aside(event_batch([log_row(1)]), reason="r")

    assert refused.count == 1
