"""
Refused batches: what the store will never take, set aside so that it holds up nothing behind it.

Each is a file of its own, as it came, for somebody to look into. The folder is bounded, the oldest goes first.
Hazard: the files hold bodies, so only this process' user may read them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

from services.contracts.analytics.values import EventBatch
from services.kit.files import FOLDER_MODE, write_atomically

FOLDER_BYTES_MAX = 64 * 1_048_576

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_log = logging.getLogger(__name__)


class RefusedBatches:
    """A bounded folder."""

    def __init__(self, *, folder: Path, bound_bytes: int = FOLDER_BYTES_MAX) -> None:
        self._folder = folder
        self._bound_bytes = bound_bytes
        self.count = 0
        """Since the start."""

    async def set_aside(self, batch: EventBatch, *, reason: str) -> None:
        """Keep a batch, if the disk allows it; it is counted either way."""
        self.count += 1
        _log.error("batch %d of %s is refused and set aside: %s", batch.sequence, batch.edge, reason)
        try:
            await asyncio.to_thread(self._write, batch)
        except OSError as error:
            _log.error("a refused batch could not be set aside: %s", error.strerror)

    def _write(self, batch: EventBatch) -> None:
        self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        name = f"{_UNSAFE.sub('_', batch.edge)[:100]}-{batch.sequence}.lines"
        write_atomically(self._folder / name, batch.rows + b"\n" + batch.bodies)
        self._make_room()

    def _make_room(self) -> None:
        oldest_first = sorted(self._folder.glob("*.lines"), key=lambda path: path.stat().st_mtime)
        excess_bytes = sum(path.stat().st_size for path in oldest_first) - self._bound_bytes
        for path in oldest_first:
            if excess_bytes <= 0:
                return
            excess_bytes -= path.stat().st_size
            path.unlink(missing_ok=True)
