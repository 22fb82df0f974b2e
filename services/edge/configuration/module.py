"""
Module: puts the edge's configuration together and owns its tasks.

The copy on disk is read before anything else and written behind the requests' back, the newest state only: a hundred
changes during one slow write become one more write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.edge.configuration.configuration import Configuration, RouterLinks
from services.edge.configuration.disk_copy import DiskCopy
from services.edge.configuration.live import Live
from services.edge.configuration.sealing import Sealer
from services.kit.clock import Clock
from services.kit.secret import Secret
from services.kit.telemetry.metrics import Metrics

COPY_NAME = "snapshot"
PATIENCE_S = 1.0
"""How long a router has to answer before the copy on disk goes live."""
RUNNING_EVERY_S = 10.0
WRITE_S_MAX = 5.0
"""For the last write when the edge stops."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConfigurationSettings:
    """`folder`: the edge's own below `NARROWS_DATA_DIR`. `snapshot_key`: `NARROWS_SNAPSHOT_KEY`; None: not sealed."""

    folder: Path
    snapshot_key: Secret | None = None


@asynccontextmanager
async def edge_configuration(
    *, edge: str, links: RouterLinks, settings: ConfigurationSettings, clock: Clock, metrics: Metrics
) -> AsyncIterator[Configuration]:
    """The configuration of one edge, followed for as long as the block lasts. `edge` is the instance's name."""
    sealer = None if settings.snapshot_key is None else Sealer(settings.snapshot_key)
    copy = DiskCopy(settings.folder / COPY_NAME, sealer=sealer)
    held = await asyncio.to_thread(copy.read)
    writer = _Writer(copy)
    configuration = Configuration(edge=edge, links=links, held=held, changed=writer.put, clock=clock, metrics=metrics)
    links.watch.listen(configuration.watching)
    links.report.listen(configuration.reporting)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(writer.run(), name="snapshot copy")
        others = (
            tasks.create_task(_adopt(configuration), name="snapshot patience"),
            tasks.create_task(_tell_running(configuration), name="running version"),
        )
        try:
            yield configuration
        finally:
            configuration.reporting.flush()
            for task in others:
                task.cancel()
            writer.finish()
            await asyncio.wait((writing,), timeout=WRITE_S_MAX)
            writing.cancel()


async def _adopt(configuration: Configuration) -> None:
    await asyncio.sleep(PATIENCE_S)
    configuration.watching.adopt()


async def _tell_running(configuration: Configuration) -> None:
    while True:
        await asyncio.sleep(RUNNING_EVERY_S)
        configuration.reporting.tell_running()


class _Writer:
    """Writes the newest state, one write at a time."""

    def __init__(self, copy: DiskCopy) -> None:
        self._copy = copy
        self._waiting: Live | None = None
        self._wake = asyncio.Event()
        self._is_finishing = False

    def put(self, live: Live) -> None:
        """This is to be on disk."""
        self._waiting = live
        self._wake.set()

    def finish(self) -> None:
        """Write what waits, then end."""
        self._is_finishing = True
        self._wake.set()

    async def run(self) -> None:
        while not self._is_finishing or self._waiting is not None:
            await self._wake.wait()
            self._wake.clear()
            live, self._waiting = self._waiting, None
            if live is not None:
                await self._write(live)

    async def _write(self, live: Live) -> None:
        try:
            await asyncio.to_thread(self._copy.write, live)
        except OSError as error:
            _log.warning("version %s could not be copied to disk: %s", live.version, error)
