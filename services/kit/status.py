"""
Status: what a process says of itself when asked, and whether it is ready for work.

One per process. Modules add to it what only they know (`add(StatusField.SPOOL, ...)`) and name what they must have
before they can work (`require("edge has a snapshot", ...)`). A process is ready when everything is open, every
requirement is met and it is not stopping. The state of a dependency is shown and never counts, only whether it is
known yet: an edge serves without them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from services.kit.health import Dependencies
from services.kit.names import MetricName, Name, StatusField
from services.kit.telemetry.logs import moment
from services.kit.telemetry.metrics import Metrics

Provide = Callable[[], object]
"""Gives something that becomes JSON. Called on the loop whenever somebody asks; must not wait."""

_FIXED = (
    StatusField.SERVICE,
    StatusField.SERVICES,
    StatusField.INSTANCE,
    StatusField.VERSION,
    StatusField.READY,
    StatusField.DEPENDENCIES,
)


class Status:
    """What `/status` and `/readyz` say. `services`: those that run in this process."""

    def __init__(
        self, *, service: str, services: tuple[str, ...], instance: str, version: str, dependencies: Dependencies
    ) -> None:
        self.service = service
        self.instance = instance
        self.version = version
        self._services = services
        self._dependencies = dependencies
        self._provided: dict[Name, Provide] = {StatusField.CONFIG_VERSION: lambda: None}
        self._required: dict[str, Callable[[], bool]] = {}
        self._waiting_for = "starting"

    def add(self, name: Name, provide: Provide) -> None:
        """Show one thing more, under this name. A name may be taken over from what another module shows."""
        if name in _FIXED:
            raise ValueError(f"{name}: /status says this itself")
        self._provided[name] = provide

    def require(self, requirement: str, is_met: Callable[[], bool]) -> None:
        """The process is not ready without it. Said as a fact: `edge has a snapshot`."""
        self._required[requirement] = is_met

    def announce(self, is_open: bool) -> None:  # noqa: FBT001  (modules.run passes it as its one argument)
        """Everything is open; or it is about to be closed."""
        self._waiting_for = "" if is_open else "stopping"

    def reasons(self) -> list[str]:
        """Why the process is not ready; empty: it is."""
        unmet = [f"not yet: {requirement}" for requirement, is_met in self._required.items() if not is_met()]
        return [self._waiting_for, *unmet] if self._waiting_for else unmet

    @property
    def is_ready(self) -> bool:
        """Send it work."""
        return not self.reasons()

    def document(self) -> dict[str, object]:
        """All of it."""
        return {
            StatusField.SERVICE: self.service,
            StatusField.SERVICES: list(self._services),
            StatusField.INSTANCE: self.instance,
            StatusField.VERSION: self.version,
            StatusField.READY: self.is_ready,
            StatusField.DEPENDENCIES: {
                name: {"state": state, "since": moment(since_s)}
                for name, (state, since_s) in sorted(self._dependencies.states().items())
            },
            **{name: provide() for name, provide in self._provided.items()},
        }

    def encode(self) -> bytes:
        """All of it, as JSON."""
        return msgspec.json.encode(self.document())

    def watch(self, metrics: Metrics) -> None:
        """Let metrics say the same."""
        metrics.gauge(MetricName.BUILD).set(1, (self.service, self.version, self.instance))
        metrics.gauge(MetricName.READY).watch(lambda: {(self.service,): float(self.is_ready)})
        metrics.gauge(MetricName.DEPENDENCY_UP).watch(
            lambda: {(name,): float(state == "up") for name, (state, _) in self._dependencies.states().items()}
        )
