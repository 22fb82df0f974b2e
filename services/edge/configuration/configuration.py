"""
Configuration: what the request pipeline asks, answered from memory.

Nothing here waits or goes to the network. `current` is replaced as a whole when the router has something new
(watching.py); outcomes go the other way (reporting.py). A request keeps the snapshot that it began with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.contracts.router.values import (
    Ack,
    Gateway,
    Outcome,
    Refusal,
    ReportItem,
    Snapshot,
    Target,
    TargetHealth,
    WatchItem,
)
from services.edge.configuration.live import Live
from services.edge.configuration.reporting import Reporting
from services.edge.configuration.watching import Watching
from services.kit.clock import Clock
from services.kit.names import MetricName
from services.kit.rpc.link import QuietLinks
from services.kit.telemetry.metrics import Metrics

Applied = Callable[[Snapshot], None]
"""Told of every snapshot that goes live, before it is acknowledged."""


@dataclass(frozen=True, slots=True)
class RouterLinks:
    """Both conversations with the router."""

    watch: QuietLinks[Ack, WatchItem]
    report: QuietLinks[ReportItem, TargetHealth]


class Configuration:
    """The snapshot in force, its stored keys, and the health of targets."""

    def __init__(
        self,
        *,
        edge: str,
        links: RouterLinks,
        held: Live | None = None,
        changed: Callable[[Live], None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.current: Snapshot | None = None
        """What new requests run on; None until a router or a copy on disk was there."""
        self._changed = changed
        self._applied: list[Applied] = []
        self.reporting = Reporting(edge=edge, links=links.report, clock=clock)
        self.watching = Watching(edge=edge, links=links.watch, held=held, changed=self._went_live, metrics=metrics)
        metrics.gauge(MetricName.GATEWAYS).watch(lambda: 0 if self.current is None else len(self.current.gateways))
        metrics.gauge(MetricName.EJECTED_TARGETS).watch(self.reporting.ejected_count)

    @property
    def version(self) -> str:
        """Of the current snapshot; empty if there is none."""
        live = self.watching.live
        return "" if live is None else live.snapshot.version

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Resources that the router refused when it made the current snapshot."""
        live = self.watching.live
        return () if live is None else live.snapshot.refusals

    @property
    def has_hosts(self) -> bool:
        """Some gateway claims a host name."""
        live = self.watching.live
        return live is not None and bool(live.hosts)

    @property
    def are_keys_withheld(self) -> bool:
        """There are stored keys, and the router does not send them over this connection."""
        live = self.watching.live
        return live is not None and live.are_keys_withheld

    def gateway(self, account: str, name: str) -> Gateway | None:
        """The gateway of that URL."""
        live = self.watching.live
        return None if live is None else live.snapshot.gateways.get((account, name))

    def by_host(self, host: str) -> Gateway | None:
        """The gateway that claims this `Host`, which may come with a port and in any case."""
        live = self.watching.live
        if live is None or not live.hosts:
            return None
        return live.hosts.get(host.lower()) or live.hosts.get(_bare(host))

    def stored_key(self, account: str, gateway: str, provider: str, alias: str) -> str | None:
        """A stored provider key, or None if this edge does not have it right now."""
        live = self.watching.live
        key = None if live is None else live.keys.get((account, gateway, provider, alias))
        return None if key is None else key.key

    def is_ejected(self, target: Target) -> bool:
        """The target is out of order and to be tried last."""
        return self.reporting.is_ejected(target)

    def report(self, outcome: Outcome) -> None:
        """An attempt has ended; never waits."""
        self.reporting.report(outcome)

    def subscribe(self, applied: Applied) -> None:
        """Call this with every snapshot that goes live, and with the current one if there is one."""
        self._applied.append(applied)
        if self.current is not None:
            applied(self.current)

    def _went_live(self, live: Live) -> None:
        """New requests see it already; now everybody who keeps something of it is told."""
        if live.snapshot is not self.current:
            self.current = live.snapshot
            for applied in self._applied:
                applied(live.snapshot)
        self.reporting.runs(live.version)
        self._changed(live)


def _bare(host: str) -> str:
    """The host name alone: without a port and the dot of a complete name."""
    return host.lower().partition(":")[0].rstrip(".")
