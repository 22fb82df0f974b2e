"""
Bulk: most of a long load, from the load driver of the benchmark, against the benchmark's mock provider.

A turn is a fixed number of requests of each kind, all kinds at once; turns follow one another until there were enough.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.driver import LOAD_CPU, laid_out, load, pinned, wait_for_port
from tests.harness.processes import unused_port

BODY = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%WHAT% %N%"}],"max_tokens":64%STREAM%}'
TURN_S_MAX = 120.0


@dataclass(frozen=True)
class Kind:
    """One kind of request. `per_turn`: how many in a turn; `statuses`: the class that its answers have."""

    name: str
    gateway: str
    per_turn: int
    connections: int
    is_unique: bool = True
    is_streamed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: str = "s2xx"


KINDS = (
    Kind("missed", "full", per_turn=6_000, connections=16),
    Kind("hit", "full", per_turn=2_000, connections=4, is_unique=False),
    Kind("refused", "spent", per_turn=1_000, connections=2, statuses="s4xx"),
    Kind("streamed", "full", per_turn=1_000, connections=16, is_streamed=True, headers={"x-mock-chunks": "20"}),
)


class Mock:
    """The benchmark's provider, as a context manager."""

    def __init__(self) -> None:
        self._tools = laid_out()
        self._port = unused_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        command = [str(self._tools / "bin" / "mock"), "-p", str(self._port)]
        self._child = subprocess.Popen(pinned(LOAD_CPU, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self._port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.terminate()
        self._child.wait(10)


class Bulk:
    """Turns of all kinds against one edge."""

    def __init__(self, edge: str, folder: Path) -> None:
        self._address = edge.removeprefix("http://")
        self._tools = laid_out()
        self._bodies = {kind.name: _write_body(folder, kind) for kind in KINDS}
        self.sent = 0
        self.unexpected = 0

    def run(self, requests: int) -> None:
        """Turns until there were so many requests."""
        with ThreadPoolExecutor(len(KINDS)) as pool:
            while self.sent < requests:
                for kind, counted in zip(KINDS, pool.map(self._turn, KINDS), strict=True):
                    self.sent += int(counted["total"])
                    self.unexpected += int(counted["total"] - counted[kind.statuses])

    def _turn(self, kind: Kind) -> dict[str, float]:
        began_at_s = time.monotonic()
        counted = load(
            self._tools,
            f"{self._address}/v1/local/{kind.gateway}/openai/chat/completions",
            connections=kind.connections,
            seconds=TURN_S_MAX,
            body=self._bodies[kind.name],
            headers={"Authorization": "Bearer sk-soak", **kind.headers},
            is_unique=kind.is_unique,
            requests=kind.per_turn,
        )
        assert time.monotonic() - began_at_s < TURN_S_MAX, f"{kind.name}: a turn took more than {TURN_S_MAX:g} s"
        return counted


def _write_body(folder: Path, kind: Kind) -> Path:
    path = folder / f"{kind.name}.json"
    stream = ',"stream":true' if kind.is_streamed else ""
    path.write_text(BODY.replace("%WHAT%", kind.name).replace("%STREAM%", stream))
    return path
