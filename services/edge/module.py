"""
Edge module: every part of the edge, made in the order in which they need each other and closed in the reverse.

Stopping is graceful: the port answers `Connection: close` while what is in flight finishes, then leases are given
back, then the spool is sent. Each of these waits for its own bound and no longer, so a dependency that is down
delays a stop by seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.contracts.analytics.values import Ack as IngestAck
from services.contracts.analytics.values import IngestItem
from services.contracts.cache.values import CacheCall, CacheReply
from services.contracts.limiter.values import Bucket, LeaseAnswer, LeaseRequest
from services.contracts.router.values import Rate, Snapshot
from services.dialects.money import RateBook
from services.dialects.request import RequestReader
from services.dialects.usage import UsageReaders
from services.edge.answers.answers import NEAR_BYTES_MAX, Answers
from services.edge.configuration.configuration import Configuration, RouterLinks
from services.edge.configuration.module import ConfigurationSettings, edge_configuration
from services.edge.headers import AnswerHeaders, HeaderSorter
from services.edge.leases.ledger import LeaseLedger
from services.edge.metrics import EdgeMetrics
from services.edge.pipeline import Pipeline, Stages
from services.edge.port.body import BodyMemory
from services.edge.port.bounds import PortBounds
from services.edge.port.server import DataPort
from services.edge.spool.spool import Spool
from services.edge.stages.admit import Admission
from services.edge.stages.attempt import Attempter
from services.edge.stages.recall import Recaller
from services.edge.stages.receive import Receiver
from services.edge.stages.relay import Relay
from services.edge.stages.settle import Settler
from services.edge.surfaces.steps import StepBuilder
from services.edge.upstream.bounds import PoolBounds
from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.proxies import ProxyRules
from services.edge.upstream.tls import client_context
from services.kit.clock import Clock
from services.kit.errors import SettingsInvalid
from services.kit.health import Dependencies
from services.kit.identifiers import UlidSource
from services.kit.names import MetricName
from services.kit.rpc.link import QuietLinks
from services.kit.secret import Secret
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer

SPOOL_DRAIN_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """How an edge runs. `folder` is its own below NARROWS_DATA_DIR, and locked by whoever starts it."""

    host: str
    port: int
    folder: Path
    body_memory_bytes: int
    body_bytes_max: int
    connections_max: int
    spool_bytes: int
    drain_s: float
    proxies: ProxyRules
    ca_files: tuple[str, ...] = ()
    """Certificate authorities beside the system's."""
    system_ca_file: str | None = None
    """Certificate authorities in place of the system's."""
    snapshot_key: Secret | None = None
    port_bounds: PortBounds | None = None
    """None: as documented."""
    pool_bounds: PoolBounds | None = None
    """Of connections to providers; None: as documented."""
    near_bytes_max: int = NEAR_BYTES_MAX
    """Of answers kept in this process."""


@dataclass(frozen=True, slots=True)
class EdgeLinks:
    """The conversations with the four services, in process or not."""

    router: RouterLinks
    lease: QuietLinks[LeaseRequest, LeaseAnswer]
    exchange: QuietLinks[CacheCall, CacheReply]
    ingest: QuietLinks[IngestItem, IngestAck]


@dataclass(frozen=True, slots=True)
class EdgeContext:
    """
    What a process gives to all its services. `instance` was never used before; `status` is this process' own /status.
    """

    instance: str
    clock: Clock
    tracer: Tracer
    metrics: Metrics
    status: Callable[[], bytes]
    dependencies: Dependencies | None = None
    """Where the edge tells what it hears of the limiter's and the cache's stores; None: nowhere."""


class Edge:
    """A running edge."""

    def __init__(self, *, configuration: Configuration, spool: Spool, port: DataPort, address: tuple[str, int]) -> None:
        self.configuration = configuration
        self.spool = spool
        self.port = port
        self.address = address


@dataclass(frozen=True, slots=True)
class _Parts:
    """What stages work with, open already."""

    configuration: Configuration
    spool: Spool
    upstream: UpstreamClient
    ledger: LeaseLedger
    answers: Answers
    memory: BodyMemory
    sorter: HeaderSorter
    metrics: EdgeMetrics


@asynccontextmanager
async def open_edge(*, settings: EdgeSettings, links: EdgeLinks, context: EdgeContext) -> AsyncIterator[Edge]:
    """An edge that serves. Raises SettingsInvalid when its address is taken or its folder is not usable."""
    async with AsyncExitStack() as stack:
        parts = await _open_parts(stack, settings, links, context)
        ids = UlidSource(clock=context.clock)
        pipeline = Pipeline(
            configuration=parts.configuration,
            sorter=parts.sorter,
            stages=_stages(parts, settings, context),
            tracer=context.tracer,
            clock=context.clock,
            ids=ids,
        )
        port = DataPort(
            pipeline.answer,
            connections_max=settings.connections_max,
            new_log_id=ids.next,
            refused=parts.metrics.count_refusal,
            bounds=settings.port_bounds,
        )
        pipeline.port = port
        _watch(context.metrics, port, parts)
        address = await _listen(port, settings)
        stack.push_async_callback(port.aclose)
        try:
            yield Edge(configuration=parts.configuration, spool=parts.spool, port=port, address=address)
        finally:
            await port.drain(settings.drain_s)


async def _open_parts(stack: AsyncExitStack, settings: EdgeSettings, links: EdgeLinks, context: EdgeContext) -> _Parts:
    configuration = await stack.enter_async_context(_configuration(settings, links, context))
    spool = await stack.enter_async_context(_spool(settings, links, context))
    tls = client_context(ca_files=settings.ca_files, system_ca_file=settings.system_ca_file)
    upstream = UpstreamClient(clock=context.clock, tls=tls, proxies=settings.proxies, bounds=settings.pool_bounds)
    await stack.enter_async_context(upstream)
    ledger = await stack.enter_async_context(_ledger(links, context, configuration))
    answers = Answers(
        links=links.exchange,
        clock=context.clock,
        dependencies=context.dependencies,
        near_bytes_max=settings.near_bytes_max,
    )
    links.exchange.listen(answers)
    stack.callback(answers.close)
    return _Parts(
        configuration=configuration,
        spool=spool,
        upstream=upstream,
        ledger=ledger,
        answers=answers,
        memory=BodyMemory(bytes_max=settings.body_memory_bytes),
        sorter=HeaderSorter(),
        metrics=EdgeMetrics(context.metrics),
    )


def _stages(parts: _Parts, settings: EdgeSettings, context: EdgeContext) -> Stages:
    tracer = context.tracer
    admission = Admission(ledger=parts.ledger, tracer=tracer)
    receiver = Receiver(
        memory=parts.memory,
        body_bytes_max=settings.body_bytes_max,
        builder=StepBuilder(sorter=parts.sorter, reader=RequestReader()),
    )
    return Stages(
        receiver=receiver,
        admission=admission,
        recaller=Recaller(answers=parts.answers, tracer=tracer),
        attempter=Attempter(
            upstream=parts.upstream, configuration=parts.configuration, admission=admission, tracer=tracer
        ),
        relay=Relay(answer_headers=AnswerHeaders(), readers=UsageReaders()),
        settler=Settler(
            admission=admission,
            receiver=receiver,
            rates=RateBook(catalogue=lambda: _rates_of(parts.configuration)),
            spool=parts.spool,
            metrics=parts.metrics,
            edge=context.instance,
        ),
    )


async def _listen(port: DataPort, settings: EdgeSettings) -> tuple[str, int]:
    try:
        return await port.listen(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise SettingsInvalid(f"NARROWS_DATA_ADDRESS: cannot listen on {where}: {error.strerror}") from error


@asynccontextmanager
async def _configuration(
    settings: EdgeSettings, links: EdgeLinks, context: EdgeContext
) -> AsyncIterator[Configuration]:
    own = ConfigurationSettings(folder=settings.folder, snapshot_key=settings.snapshot_key)
    async with edge_configuration(
        edge=context.instance, links=links.router, settings=own, clock=context.clock, metrics=context.metrics
    ) as configuration:
        yield configuration


@asynccontextmanager
async def _spool(settings: EdgeSettings, links: EdgeLinks, context: EdgeContext) -> AsyncIterator[Spool]:
    async with Spool(
        folder=settings.folder / "spool",
        edge=context.instance,
        links=links.ingest,
        bound_bytes=settings.spool_bytes,
        status=context.status,
        clock=context.clock,
    ) as spool:
        context.metrics.gauge(MetricName.SPOOL_SIZE).watch(lambda: spool.status().unsent_bytes)
        context.metrics.gauge(MetricName.SPOOL_LAG).watch(lambda: spool.status().lag_s)
        context.metrics.counter(MetricName.SPOOL_DROPPED).watch(lambda: spool.status().dropped_count)
        yield spool
        if not await spool.drain(SPOOL_DRAIN_S):
            _log.warning("analytics did not take all log rows in %.0f s; they stay in the spool", SPOOL_DRAIN_S)


@asynccontextmanager
async def _ledger(links: EdgeLinks, context: EdgeContext, configuration: Configuration) -> AsyncIterator[LeaseLedger]:
    ledger = LeaseLedger(
        edge=context.instance, links=links.lease, clock=context.clock, dependencies=context.dependencies
    )
    links.lease.listen(ledger)
    configuration.subscribe(lambda snapshot: ledger.changed(_limits_of(snapshot)))
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(ledger.run(), name="lease ledger")
        try:
            yield ledger
            await ledger.drain()
        finally:
            ticking.cancel()


def _rates_of(configuration: Configuration) -> Mapping[str, tuple[Rate, ...]]:
    snapshot = configuration.current
    return snapshot.catalogue.rates if snapshot is not None else {}


def _limits_of(snapshot: Snapshot) -> Callable[[Bucket], int | None]:
    """What a bucket's rule allows under this snapshot; None when there is no such rule any more."""

    def limit_of(bucket: Bucket) -> int | None:
        gateway = snapshot.gateways.get((bucket.account, bucket.gateway))
        limits = gateway.limits if gateway is not None else ()
        for limit in limits:
            is_same = limit.technique == bucket.technique and limit.window_s == bucket.window_s
            if limit.name == bucket.limit_name and is_same:
                return limit.limit
        return None

    return limit_of


def _watch(metrics: Metrics, port: DataPort, parts: _Parts) -> None:
    """Let metrics read what is counted anyway."""
    upstream = parts.upstream
    metrics.gauge(MetricName.CACHE_SIZE).watch(lambda: parts.answers.used_bytes)
    metrics.gauge(MetricName.CONNECTIONS).watch(lambda: len(port.connections))
    metrics.gauge(MetricName.REQUESTS_IN_FLIGHT).watch(lambda: port.in_flight)
    metrics.gauge(MetricName.BODY_MEMORY).watch(lambda: parts.memory.bytes_held)
    metrics.gauge(MetricName.UPSTREAM_CONNECTIONS).watch(
        lambda: {("idle",): upstream.stats().idle, ("busy",): upstream.stats().open - upstream.stats().idle}
    )
