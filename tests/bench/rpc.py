"""
What an item costs on a supervised stream: CPU of the client and of the server, and how long the answer takes.

`python -m tests.bench.rpc` starts a parrot in a process of its own and keeps 1, 8 and 64 items in flight, each sent as
soon as the one before it is answered, as requests do. The last line is the same without a network. Numbers are
medians of three rounds; run it on an idle machine.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Hashable, Sequence
from pathlib import Path

import uvloop

from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.link import Link, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.rpc.replicas import Caller, replicas
from tests.fakes.parrot import Parrot, Said, conversation

ROUND_S = 1.2
PAYLOAD = b"sk-gw-0123456789abcdef0123456789abcdef,gpt-4o-mini,300,req-0123456789abcdef"


class Callers:
    """Each answer sends its caller's next item."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.batches = 0
        self.latencies_s: list[float] = []
        self._sent_at_s: dict[int, float] = {}
        self._number = 0

    def opened(self, link: Link[Said]) -> None:
        self.up.set()

    def received(self, link: Link[Said], items: Sequence[Said]) -> None:
        now_s = time.perf_counter()
        self.batches += 1
        for number, _, _ in items:
            self.latencies_s.append(now_s - self._sent_at_s.pop(number))
            self.call(link)

    def expired(self, link: Link[Said], keys: Sequence[Hashable]) -> None:
        raise AssertionError(f"{len(keys)} expired")

    def lost(self, link: Link[Said], keys: Sequence[Hashable]) -> None:
        """The end of the measurement."""

    def call(self, link: Link[Said]) -> None:
        self._number += 1
        self._sent_at_s[self._number] = time.perf_counter()
        assert link.send((self._number, "ask", PAYLOAD), key=self._number, deadline_s=5)

    def forget(self) -> None:
        self.latencies_s = []
        self.batches = 0


async def measure(name: str, links: QuietLinks[Said, Said], callers: Callers, server: int | None) -> None:
    """Rounds with more and more items in flight."""
    await callers.up.wait()
    link = links.any()
    assert link is not None
    in_flight = 0
    for wanted in (1, 8, 64):
        for _ in range(wanted - in_flight):
            callers.call(link)
        in_flight = wanted
        rounds = [await one_round(callers, server) for _ in range(3)]
        client_us, server_us, median_us, late_us, batch = (
            statistics.median(column) for column in zip(*rounds, strict=True)
        )
        print(
            f"{name}, {wanted:2} in flight: {client_us:6.1f} us CPU an item here, {server_us:6.1f} us there; "
            f"answered after {median_us:.0f} us, 99 % after {late_us:.0f} us; {batch:.1f} items a message",
            flush=True,
        )


async def one_round(callers: Callers, server: int | None) -> tuple[float, float, float, float, float]:
    callers.forget()
    client_s, server_s = time.process_time(), cpu_s(server)
    await asyncio.sleep(ROUND_S)
    latencies_s = sorted(callers.latencies_s)
    count = len(latencies_s)
    return (
        (time.process_time() - client_s) / count * 1e6,
        (cpu_s(server) - server_s) / count * 1e6,
        latencies_s[count // 2] * 1e6,
        latencies_s[count * 99 // 100] * 1e6,
        count / callers.batches,
    )


def cpu_s(process: int | None) -> float:
    """CPU seconds another process has used."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    clock = SystemClock()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.parrot_process", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = int(server.stdout.readline())
    callers = Callers()
    async with replicas(
        conversation(),
        callers,
        target=f"127.0.0.1:{port}",
        caller=Caller(clock=clock, random=lambda: 0.5, dependencies=Dependencies(clock=clock)),
    ) as links:
        await measure("over gRPC", links, callers, server.pid)
    server.terminate()
    server.wait()
    callers = Callers()
    async with local_links(conversation(), Parrot(), callers, clock=clock) as links:
        await measure("in one process", links, callers, None)


if __name__ == "__main__":
    uvloop.run(main())
