"""
Outages: what can befall something that an edge leans on, and how it comes back.

*Frozen* is SIGSTOP: connections stay, new ones are accepted by the kernel, nothing is ever answered. *Refused* is
`kill -9`: connections break and new ones are refused. *Slow* is what lies between.
"""

from __future__ import annotations

import signal
from typing import Protocol

from tests.harness.children import Child
from tests.harness.processes import NarrowsProcess, unused_port
from tests.harness.wires import Wires
from tests.redis_server import RedisServer


class Server(Protocol):
    """A process that can be frozen and killed."""

    def freeze(self) -> None:
        """Stop it from running while its connections stay open."""
        ...

    def thaw(self) -> None:
        """Let it run on."""
        ...

    def stop(self) -> None:
        """Kill it."""
        ...

    def start(self) -> None:
        """Start it on the same address; returns when it answers."""
        ...


class Service:
    """One of the services. Implements `Server`."""

    def __init__(self, process: NarrowsProcess) -> None:
        self._process = process

    def freeze(self) -> None:
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()

    def start(self) -> None:
        self._process.start()
        self._process.wait_until_ready()


class CollectorServer(Child):
    """A collector in a process of its own. Implements `Server`."""

    def __init__(self) -> None:
        self.port = unused_port()
        super().__init__("tests.otlp_collector", str(self.port))

    def stop(self) -> None:
        self.kill()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)


class Outage(Protocol):
    """Something goes wrong, and is over again."""

    name: str

    def begin(self) -> None:
        """From now on."""
        ...

    def end(self) -> None:
        """Until now."""
        ...


class Frozen:
    """SIGSTOP."""

    name = "frozen"

    def __init__(self, server: Server) -> None:
        self.begin = server.freeze
        self.end = server.thaw


class Refused:
    """Killed; over when it answers again."""

    name = "refused"

    def __init__(self, server: Server) -> None:
        self.begin = server.stop
        self.end = server.start


class Slow:
    """What is said to it and what it says arrive late."""

    name = "slow"

    def __init__(self, wires: Wires, wire: str, *, delay_s: float) -> None:
        self._wires = wires
        self._wire = wire
        self._delay_s = delay_s

    def begin(self) -> None:
        self._wires.delay(self._wire, self._delay_s)

    def end(self) -> None:
        self._wires.delay(self._wire, 0)


def servers_of(
    processes: dict[str, NarrowsProcess], redis: RedisServer, collector: CollectorServer
) -> dict[str, Server]:
    """Everything an edge leans on, by name."""
    services = {name: Service(processes[name]) for name in ("limiter", "cache", "analytics", "router")}
    return {"redis": redis, **services, "collector": collector}
