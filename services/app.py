"""
App: the composition root. Which modules a process is made of, and what each needs. Read this first.

    simulator   a provider for first steps            -
    router      configuration, catalogue, health      simulator (for its address)
    limiter     leases                                Redis, or memory
    cache       answers                               Redis, or memory
    analytics   logs, admin port                      ClickHouse embedded
    edge        the data path                         one conversation with each of the four, two with the router
    rpc         gRPC for other processes              the services that run here

`--target all` runs every one of them in this process with direct calls; another target runs that one. Whether a
conversation crosses a network is decided in `_links`, by one `if` for all of them, and nowhere else. The
edge's targets that name no address run in its own process.

A service is imported where it is opened: a process pays in memory and start-up time for the services it runs, and
for no other.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.config import Settings
from services.contracts.analytics.conversation import INGEST, QUERY, TAIL
from services.contracts.cache.conversation import EXCHANGE
from services.contracts.limiter.conversation import LEASE
from services.contracts.router.conversation import REPORT, WATCH
from services.kit.clock import SystemClock
from services.kit.files import locked_folder, locked_folder_if_writable
from services.kit.health import Dependencies
from services.kit.health_server import health_routes, health_server
from services.kit.identifiers import UlidSource
from services.kit.modules import Module, Parts
from services.kit.names import MetricName, StatusField
from services.kit.rpc.link import Conversation, Conversations, In, Out, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.rpc.replicas import Caller, replicas
from services.kit.rpc.server import RpcServer
from services.kit.rpc.stream import CONNECT_S_MAX
from services.kit.status import Status
from services.kit.telemetry.logs import moment
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.process import LoopLag, watch_process
from services.kit.telemetry.sampling import sampling
from services.kit.telemetry.tracing import NoTracer, Tracer
from services.kit.tls import TlsFiles
from services.version import VERSION

if TYPE_CHECKING:
    from services.analytics.module import Analytics
    from services.cache.service import CacheService
    from services.edge.module import Edge, EdgeLinks, EdgeSettings
    from services.limiter.service import LimiterService
    from services.router.service import Router

_log = logging.getLogger("narrows")

SERVICES = ("router", "limiter", "cache", "analytics")

TRY_S_MAX = CONNECT_S_MAX + 1.0
"""A starting edge waits for word of the services its requests may need; a service that gives none costs this."""


class App:
    """One process: its settings, what all its modules share, and the table of the modules."""

    def __init__(self, settings: Settings, *, environment: dict[str, str]) -> None:
        self.settings = settings
        self._environment = environment
        self.here = _running_here(settings)
        self.clock = SystemClock()
        self.instance = f"{socket.gethostname()}-{UlidSource(clock=self.clock).next()}"
        self.metrics = Metrics()
        self.dependencies = Dependencies(clock=self.clock)
        self.status = Status(
            service=settings.target,
            services=self.here,
            instance=self.instance,
            version=VERSION,
            dependencies=self.dependencies,
        )
        self.status.add(StatusField.STORES, self._stores)
        self._listening: list[str] = []
        self._random = random.Random().random
        self._tls = TlsFiles(settings.security.tls_dir) if settings.security.tls_dir is not None else None

        self._tracing = Module("tracing", self._open_tracing)
        self._health = Module("health", self._open_health)
        self._simulator = Module("simulator", self._open_simulator)
        needs_simulator = (self._simulator,) if settings.target == "all" else ()
        self._router = Module("router", self._open_router, needs=(self._tracing, *needs_simulator))
        self._limiter = Module("limiter", self._open_limiter, needs=(self._tracing,))
        self._cache = Module("cache", self._open_cache, needs=(self._tracing,))
        self._analytics = Module("analytics", self._open_analytics, needs=(self._tracing,))
        self._admin = Module("admin", self._open_admin, needs=(self._analytics,))
        self._services: dict[str, Module[Any]] = {
            "router": self._router,
            "limiter": self._limiter,
            "cache": self._cache,
            "analytics": self._analytics,
        }
        local = tuple(self._services[name] for name in SERVICES if name in self.here)
        self._edge = Module("edge", self._open_edge, needs=(self._tracing, *local))
        self._rpc = Module("rpc", self._open_rpc, needs=local)

    def modules(self) -> list[Module[Any]]:
        """The modules of this process' target, in the order of what needs what."""
        match self.settings.target:
            case "all" | "edge":
                admin = [self._admin] if "analytics" in self.here else []
                return [self._health, *admin, self._edge]
            case "simulator":
                return [self._health, self._simulator]
            case "analytics":
                return [self._health, self._admin, self._rpc]
            case "router" | "limiter" | "cache":
                return [self._health, self._rpc]

    def announce(self, is_open: bool) -> None:  # noqa: FBT001 - `run` passes it as its one argument
        """Everything is open, or about to be closed: `/readyz` says so, and so does the log."""
        self.status.announce(is_open)
        target = self.settings.target
        if not is_open:
            _log.info("%s is stopping", target)
        elif self.status.is_ready:
            _log.info("%s is ready: %s", target, ", ".join(self._listening))
        else:
            _log.info("%s listens: %s; %s", target, ", ".join(self._listening), "; ".join(self.status.reasons()))

    def _stores(self) -> dict[str, str]:
        """Where the services that run here keep what they know: what is in memory is gone at a restart."""
        stores = self.settings.stores
        kinds = {
            "limiter": "memory" if stores.redis_url is None else "redis",
            "cache": "memory" if stores.redis_url is None else "redis",
            "analytics": "embedded" if stores.clickhouse_url is None else "clickhouse",
        }
        return {service: kind for service, kind in kinds.items() if service in self.here}

    # What all modules share.

    @asynccontextmanager
    async def _open_tracing(self, parts: Parts) -> AsyncIterator[Callable[[str], Tracer]]:
        """Gives each service a tracer of its own name; without a collector's address, one that does nothing."""
        traces = self.settings.traces
        if traces.endpoint is None or traces.is_disabled:
            yield lambda service: NoTracer()
            return
        from services.kit.telemetry.otlp import Destination, Process, Tracing

        process = Process(self.instance, VERSION, traces.service_name, is_shared=len(self.here) > 1)
        async with Tracing(
            destination=Destination(traces.endpoint, traces.headers),
            sampling=sampling(traces.sampler, traces.sampler_ratio),
            process=process,
            dependencies=self.dependencies,
            metrics=self.metrics,
        ) as tracing:
            yield tracing.tracer

    @asynccontextmanager
    async def _open_health(self, parts: Parts) -> AsyncIterator[None]:
        watch_process(self.metrics, started_at_s=time.time())
        self.status.watch(self.metrics)
        async with LoopLag() as lag:
            self.metrics.gauge(MetricName.LOOP_LAG).watch(lambda: lag.worst_s)
            address = self.settings.addresses.health
            async with health_server(address, status=self.status, metrics=self.metrics):
                yield None

    # The services.

    @asynccontextmanager
    async def _open_simulator(self, parts: Parts) -> AsyncIterator[str]:
        from services.simulator.module import simulator

        address = self.settings.addresses.simulator
        async with simulator(host=address.host, port=address.port, clock=self.clock) as url:
            self._listening.append(f"simulator {url}")
            yield url

    @asynccontextmanager
    async def _open_router(self, parts: Parts) -> AsyncIterator[Router]:
        from services.router.module import router_module
        from services.router.settings import RouterSettings

        simulator_url = self.settings.services.simulator
        async with AsyncExitStack() as stack:
            own = RouterSettings(
                resources=self.settings.resources,
                simulator_url=parts[self._simulator] if self.settings.target == "all" else simulator_url,
                are_private_upstreams_allowed=self.settings.upstream.are_private_allowed,
                folder=stack.enter_context(locked_folder_if_writable(self.settings.stores.data_dir / "router")),
                environment=self._environment,
            )
            router = await stack.enter_async_context(
                router_module(
                    settings=own, clock=self.clock, tracer=parts[self._tracing]("router"), metrics=self.metrics
                )
            )
            self._show_router(router)
            yield router

    def _show_router(self, router: Router) -> None:
        """What `/status` and `/readyz` say of this router. An edge in the same process is ready without it."""
        self.status.add(StatusField.REFUSALS, lambda: router.refusals)
        self.status.add(StatusField.RUNNING, lambda: _running(router))
        if self.settings.target == "router":
            self.status.require("router has resources to publish", lambda: router.is_published)
            self.status.add(StatusField.CONFIG_VERSION, lambda: router.version)

    def _open_limiter(self, parts: Parts) -> AbstractAsyncContextManager[LimiterService]:
        from services.limiter.module import open_limiter

        return open_limiter(
            redis_url=self.settings.stores.redis_url,
            clock=self.clock,
            tracer=parts[self._tracing]("limiter"),
            metrics=self.metrics,
            dependencies=self.dependencies,
        )

    def _open_cache(self, parts: Parts) -> AbstractAsyncContextManager[CacheService]:
        from services.cache.module import open_cache

        return open_cache(
            redis_url=self.settings.stores.redis_url,
            instance=self.instance,
            clock=self.clock,
            tracer=parts[self._tracing]("cache"),
            metrics=self.metrics,
            dependencies=self.dependencies,
        )

    def _open_analytics(self, parts: Parts) -> AbstractAsyncContextManager[Analytics]:
        from services.analytics.module import open_analytics

        return open_analytics(
            folder=self.settings.stores.data_dir / "analytics",
            clickhouse_url=self.settings.stores.clickhouse_url,
            clock=self.clock,
            tracer=parts[self._tracing]("analytics"),
            metrics=self.metrics,
            dependencies=self.dependencies,
        )

    @asynccontextmanager
    async def _open_admin(self, parts: Parts) -> AsyncIterator[int]:
        """The admin port; in one process it serves what the health port does, too."""
        from services.analytics.module import open_admin

        address = self.settings.addresses.admin
        also = health_routes(self.status, self.metrics) if self.settings.target == "all" else ()
        async with open_admin(
            analytics=parts[self._analytics],
            address=address,
            token=self.settings.security.admin_token,
            status=self.status.document,
            also=also,
        ) as port:
            self._listening.append(f"admin http://{address.host}:{port}")
            yield port

    @asynccontextmanager
    async def _open_edge(self, parts: Parts) -> AsyncIterator[Edge]:
        from services.edge.module import EdgeContext, open_edge

        async with AsyncExitStack() as stack:
            folder = stack.enter_context(locked_folder(self.settings.stores.data_dir / "edge"))
            tracer = parts[self._tracing]("edge")
            links = await self._edge_links(stack, parts, tracer)
            context = EdgeContext(
                self.instance, self.clock, tracer, self.metrics, self.status.encode, self.dependencies
            )
            edge = await stack.enter_async_context(
                open_edge(settings=replace(self._edge_settings(), folder=folder), links=links, context=context)
            )
            self._show_edge(edge)
            self._listening.append("edge http://{}:{}".format(*edge.address))
            yield edge

    def _show_edge(self, edge: Edge) -> None:
        """What `/status` and `/readyz` say of this edge. A router in the same process knows best what is refused."""
        self.status.require("edge has a snapshot", lambda: edge.configuration.current is not None)
        gives_up_at_s = self.clock.monotonic_s() + TRY_S_MAX
        self.status.require(
            "edge has tried its services", lambda: self._are_tried() or self.clock.monotonic_s() > gives_up_at_s
        )
        self.status.add(StatusField.CONFIG_VERSION, lambda: edge.configuration.version)
        if "router" not in self.here:
            self.status.add(StatusField.REFUSALS, lambda: edge.configuration.refusals)
        self.status.add(StatusField.SPOOL, lambda: _spool_of(edge))

    def _are_tried(self) -> bool:
        """Each service that runs elsewhere is known to be up or down: the first requests find what is there."""
        tried = self.dependencies.states()
        return all(name in tried for name in SERVICES if name != "router" and name not in self.here)

    def _edge_settings(self) -> EdgeSettings:
        from services.edge.module import EdgeSettings
        from services.edge.upstream.bounds import PoolBounds
        from services.edge.upstream.proxies import ProxyRules

        settings = self.settings
        upstream, bounds, connections = settings.upstream, settings.bounds, settings.connections
        return EdgeSettings(
            host=settings.addresses.data.host,
            port=settings.addresses.data.port,
            folder=settings.stores.data_dir / "edge",
            body_memory_bytes=bounds.body_memory_bytes,
            body_bytes_max=bounds.max_body_bytes,
            connections_max=bounds.max_connections,
            spool_bytes=bounds.spool_bytes,
            near_bytes_max=bounds.near_cache_bytes,
            drain_s=bounds.drain_s,
            proxies=ProxyRules.parse(
                https_proxy=upstream.https_proxy, http_proxy=upstream.http_proxy, no_proxy=upstream.no_proxy
            ),
            ca_files=() if upstream.ca is None else (str(upstream.ca),),
            system_ca_file=None if upstream.ssl_cert_file is None else str(upstream.ssl_cert_file),
            snapshot_key=settings.security.snapshot_key,
            pool_bounds=PoolBounds(
                connections_max=connections.connections_max,
                connections_per_origin_max=connections.per_origin_max,
                waiting_max=connections.waiting_max,
                wait_s=connections.wait_s,
                idle_s=connections.idle_s,
                age_s=connections.age_s,
            ),
        )

    async def _edge_links(self, stack: AsyncExitStack, parts: Parts, tracer: Tracer) -> EdgeLinks:
        """
        All conversations of the edge. In process a service gives its own side; elsewhere it is None and not asked.
        """
        from services.edge.configuration.configuration import RouterLinks
        from services.edge.module import EdgeLinks

        at = self.settings.services
        router, limiter, cache, analytics = (
            parts[self._services[name]] if name in self.here else None for name in SERVICES
        )

        async def open_links(
            conversation: Conversation[Out, In], target: str | None, local: Conversations[Out, In] | None
        ) -> QuietLinks[Out, In]:
            return await stack.enter_async_context(self._links(conversation, target, local, tracer))

        return EdgeLinks(
            router=RouterLinks(
                watch=await open_links(WATCH, at.router, router and router.watch),
                report=await open_links(REPORT, at.router, router and router.report),
            ),
            lease=await open_links(LEASE, at.limiter, limiter),
            exchange=await open_links(EXCHANGE, at.cache, cache),
            ingest=await open_links(INGEST, at.analytics, analytics and analytics.service),
        )

    def _links(
        self,
        conversation: Conversation[Out, In],
        target: str | None,
        local: Conversations[Out, In] | None,
        tracer: Tracer,
    ) -> AbstractAsyncContextManager[QuietLinks[Out, In]]:
        """Together or apart."""
        if target is None:
            assert local is not None
            return local_links(conversation, local, clock=self.clock)
        return replicas(
            conversation,
            target=target,
            caller=Caller(
                clock=self.clock,
                random=self._random,
                dependencies=self.dependencies,
                tls=self._tls,
                tracer=tracer,
                metrics=self.metrics,
            ),
        )

    @asynccontextmanager
    async def _open_rpc(self, parts: Parts) -> AsyncIterator[RpcServer]:
        server = RpcServer(self.settings.addresses.rpc, tls=self._tls)
        match self.settings.target:
            case "router":
                server.add(WATCH, parts[self._router].remote_watch)
                server.add(REPORT, parts[self._router].report)
            case "limiter":
                limiter = parts[self._limiter]
                server.add(LEASE, limiter)
            case "cache":
                cache = parts[self._cache]
                server.add(EXCHANGE, cache)
            case "analytics":
                service = parts[self._analytics].service
                server.add(INGEST, service)
                server.answer(QUERY, service.query)
                server.stream(TAIL, service.tail)
            case _:
                pass
        async with server:
            host = self.settings.addresses.rpc.rpartition(":")[0]
            self._listening.append(
                f"gRPC {host}:{server.port}" if server.port else f"gRPC {self.settings.addresses.rpc}"
            )
            yield server


def _running_here(settings: Settings) -> tuple[str, ...]:
    """The services of this process: the target's, and for an edge those whose address nobody gave."""
    if settings.target not in ("all", "edge"):
        return (settings.target,)
    at = settings.services
    elsewhere = {"router": at.router, "limiter": at.limiter, "cache": at.cache, "analytics": at.analytics}
    return (*(name for name in SERVICES if elsewhere[name] is None), "edge")


def _running(router: Router) -> dict[str, dict[str, str]]:
    """Which version each edge runs that reports to this router, and when it said so last."""
    return {
        edge: {"config_version": state.version, "heard_at": moment(state.heard_at_s)}
        for edge, state in sorted(router.running.items())
    }


def _spool_of(edge: Edge) -> dict[str, float]:
    spool = edge.spool.status()
    return {"bytes": spool.unsent_bytes, "lag_s": round(spool.lag_s, 3), "dropped": spool.dropped_count}
