"""
The router: takes what its source has, judges it, and publishes what is live.

All decisions are made elsewhere, each in a pure part: what a document is (resources/), what stays live (accepted.py),
what edges get (contracts/router/snapshot.py), what health is (health.py). Here is only the order of steps and who is
told. Judging runs in a thread, because a large file takes longer than a request may wait in the same process.

Hazard: edges take what they are told for the whole truth. So a router that has not read anything good yet tells them
nothing, and they keep what they have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from services.contracts.router.snapshot import Release, canonical
from services.contracts.router.values import Refusal, StoredKey, TargetHealth
from services.kit.clock import Clock
from services.kit.names import MetricName
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer
from services.router.accepted import Accepted, Rules, accept, is_conclusive, release_of
from services.router.last_good import LastGood
from services.router.report import EdgeState, Reporting
from services.router.resources.documents import Reading
from services.router.rule_book import RuleBook
from services.router.sources import DocumentSet, Source
from services.router.watch import PublishedWatching, Watching

TICK_S = 0.5

_log = logging.getLogger(__name__)


class Router:
    """
    One router. `watch` and `report` are its two conversations with edges.

    `remote_watch` is what edges in other processes are offered in place of `watch`.
    """

    def __init__(
        self,
        *,
        source: Source,
        rule_book: RuleBook,
        clock: Clock,
        tracer: Tracer,
        metrics: Metrics,
        last_good: LastGood | None = None,
    ) -> None:
        self.watch = Watching()
        self.remote_watch = PublishedWatching(self.watch)
        self.report = Reporting(clock=clock, tracer=tracer)
        self._source = source
        self._rule_book = rule_book
        self._catalogue_content = canonical(rule_book.catalogue)
        self.accepted = Accepted()
        self.refusals: tuple[Refusal, ...] = ()
        """What is refused right now, whether or not anything is live."""
        self._last_good = last_good
        metrics.gauge(MetricName.REFUSED_RESOURCES).watch(lambda: len(self.refusals))
        metrics.gauge(MetricName.WATCHERS).watch(lambda: len(self.watch))

    @property
    def is_published(self) -> bool:
        """Edges have been told something. Until then they keep what they have."""
        return self.watch.release is not None

    @property
    def version(self) -> str:
        """What is live; empty before anything is published."""
        return "" if self.watch.release is None else self.watch.release.version

    @property
    def running(self) -> Mapping[str, EdgeState]:
        """What each edge that reports here runs."""
        return self.report.running

    @property
    def ejected(self) -> list[TargetHealth]:
        """Targets that edges put last right now."""
        return self.report.book.ejected()

    async def recall(self) -> None:
        """Begin with what was live before, for documents that turn out to be wrong now."""
        if self._last_good is not None:
            reading = Reading(await asyncio.to_thread(self._last_good.read))
            rules = await self._rule_book.rules(reading, self._source)
            self.accepted = await asyncio.to_thread(accept, self.accepted, reading, rules)

    async def load(self) -> None:
        """Take the source's documents: at once the first time, after that when they have changed."""
        await self._take(await self._source.next())

    async def follow(self) -> None:
        """Load again and again, for as long as the router lives."""
        while True:
            await self.load()

    async def tick(self) -> None:
        """Let ejections end, for as long as the router lives."""
        while True:
            await asyncio.sleep(TICK_S)
            self.report.tick()

    async def _take(self, documents: DocumentSet) -> None:
        rules = await self._rule_book.rules(documents.reading, self._source)
        release, keys = await asyncio.to_thread(self._judge, documents, rules)
        _tell(self.refusals, release.refusals)
        self.refusals = release.refusals
        if not self.is_published and not is_conclusive(self.accepted, documents.reading):
            _log.warning("no gateway could be read yet: nothing is published, and edges keep what they have")
            return
        self.watch.publish(release, keys)
        _log.info("version %s is live: %d gateways", release.version, len(release.content.gateways))
        if self._last_good is not None:
            await asyncio.to_thread(self._last_good.write, self.accepted.documents.values())

    def _judge(self, documents: DocumentSet, rules: Rules) -> tuple[Release, tuple[StoredKey, ...]]:
        self.accepted = accept(self.accepted, documents.reading, rules)
        return release_of(self.accepted, self._catalogue_content, {self._source.name: documents.revision})


def _tell(before: tuple[Refusal, ...], now: tuple[Refusal, ...]) -> None:
    """Log what is refused now and was not, or no longer."""
    for refusal in now:
        if refusal not in before:
            _log.warning("%s is refused: %s", refusal.resource, refusal.reason)
    refused = {refusal.resource for refusal in now}
    for resource in dict.fromkeys(refusal.resource for refusal in before):
        if resource not in refused:
            _log.info("%s is no longer refused", resource)
