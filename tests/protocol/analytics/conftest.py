"""A process of analytics that can be killed and started again on the same folder and port."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest


class AnalyticsProcess:
    """One at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.protocol.analytics.serve", str(self._folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(await asyncio.to_thread(self._process.stdout.readline))

    async def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.communicate)
            self._process = None


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[AnalyticsProcess]:
    process = AnalyticsProcess(tmp_path / "analytics")
    await process.start()
    yield process
    await process.kill()
