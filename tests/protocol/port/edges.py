"""
A whole edge in this process, between a raw client and whatever provider a test wants.

Configuration, limits and the cache are the real services, spoken to in process; only analytics is a shelf that keeps
the rows. What stands between the edge and a service can be chosen (`through`): a test may listen in, or be a service
that is not there. Everything is closed with the block, and what is closed must have given back all memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from services.cache.module import open_cache
from services.contracts.analytics.conversation import INGEST
from services.contracts.analytics.values import LogBody, LogRow
from services.contracts.cache.conversation import EXCHANGE
from services.contracts.limiter.conversation import LEASE
from services.contracts.router.conversation import REPORT, WATCH
from services.contracts.router.values import Catalogue
from services.dialects.catalogue import catalogue
from services.edge.configuration.configuration import RouterLinks
from services.edge.module import Edge, EdgeContext, EdgeLinks, EdgeSettings, open_edge
from services.edge.port.bounds import PortBounds
from services.edge.upstream.proxies import ProxyRules
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.link import Conversation, Conversations, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer, Tracer
from services.limiter.module import open_limiter
from services.router.module import router_module
from services.router.service import Router
from services.router.settings import RouterSettings
from tests.protocol.port.raw import RawClient
from tests.unit.edge.spool.analytics import Shelf, rows_of

_WAIT_S = 5.0
RESOURCES = "resources.yaml"

Through = Callable[[str, Conversations[Any, Any]], Conversations[Any, Any]]
"""Given what a conversation is for and the service's side of it, what the edge shall speak to instead."""


class RunningEdge:
    """An edge that serves, and what it did."""

    def __init__(self, edge: Edge, shelf: Shelf, metrics: Metrics, folder: Path) -> None:
        self.edge = edge
        self.shelf = shelf
        self.metrics = metrics
        self.folder = folder
        self._clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        """A new connection to the data port."""
        client = await RawClient.open(*self.edge.address)
        self._clients.append(client)
        return client

    @property
    def rows(self) -> list[LogRow]:
        """What has reached analytics."""
        return [row for batch in self.shelf.batches for row in rows_of(batch)]

    @property
    def bodies(self) -> list[LogBody]:
        """The payloads that have."""
        lines = [line for batch in self.shelf.batches for line in batch.bodies.splitlines()]
        return [msgspec.json.decode(line, type=LogBody) for line in lines]

    async def row(self, log_id: str | None) -> LogRow:
        """The row of that id; waits until it is there."""
        return (await self._rows_when(lambda row: row.id == log_id))[-1]

    async def last_row(self) -> LogRow:
        """The newest row, once nothing is in flight."""
        await self.quiet()
        return (await self._rows_when(lambda row: True))[-1]

    async def change(self, resources: str) -> None:
        """Replace the operator's resources; returns when new requests use them."""
        before = self.edge.configuration.version
        draft = self.folder / "resources.draft"
        draft.write_text(resources)
        draft.replace(self.folder / RESOURCES)
        await until(lambda: self.edge.configuration.version != before)

    async def quiet(self) -> None:
        """Returns when no request is in flight."""
        await until(lambda: self.edge.port.in_flight == 0)

    async def _rows_when(self, is_wanted: Callable[[LogRow], bool]) -> list[LogRow]:
        async with asyncio.timeout(_WAIT_S):
            while True:
                await self.edge.spool.drain(1)
                found = [row for row in self.rows if is_wanted(row)]
                if found:
                    return found
                await asyncio.sleep(0.002)

    async def leave(self) -> None:
        """Close every client."""
        for client in self._clients:
            await client.close()


async def until(is_so: Callable[[], bool], *, timeout_s: float = _WAIT_S) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.002)


def quick(**bounds: float) -> PortBounds:
    """Bounds of an edge that stops at once."""
    return PortBounds(**{"quiet_s": 0.005, **bounds})  # type: ignore[arg-type]  # names and types are PortBounds' own


@asynccontextmanager
async def running_edge(
    folder: Path,
    resources: str,
    *,
    simulator_url: str | None = None,
    environment: Mapping[str, str] | None = None,
    tracer: Tracer | None = None,
    through: Through | None = None,
    **settings: Any,
) -> AsyncIterator[RunningEdge]:
    """An edge on any port. `settings` go over the usual ones."""
    clock, metrics, shelf = SystemClock(), Metrics(), Shelf()
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(_router(folder, resources, simulator_url, dict(environment or {})))
        links = await _links(stack, router, shelf, through or _directly)
        context = EdgeContext("edge-under-test", clock, tracer or NoTracer(), metrics, lambda: b"{}")
        edge = await stack.enter_async_context(
            open_edge(settings=replace(_settings(folder), **settings), links=links, context=context)
        )
        await until(lambda: edge.configuration.current is not None)
        running = RunningEdge(edge, shelf, metrics, folder)
        stack.push_async_callback(running.leave)
        yield running


def _directly(purpose: str, service: Conversations[Any, Any]) -> Conversations[Any, Any]:
    return service


@asynccontextmanager
async def _router(
    folder: Path, resources: str, simulator_url: str | None, environment: dict[str, str]
) -> AsyncIterator[Router]:
    file = folder / RESOURCES
    file.write_text(resources)
    async with router_module(
        settings=RouterSettings(resources=str(file), environment=environment),
        clock=SystemClock(),
        tracer=NoTracer(),
        metrics=Metrics(),
        catalogue=Catalogue(catalogue(simulator_url=simulator_url), {}),
    ) as router:
        assert not router.refusals, router.refusals
        yield router


async def _links(stack: AsyncExitStack, router: Router, shelf: Shelf, through: Through) -> EdgeLinks:
    clock = SystemClock()
    enter = stack.enter_async_context
    shared: dict[str, Any] = {
        "clock": clock,
        "tracer": NoTracer(),
        "metrics": Metrics(),
        "dependencies": Dependencies(clock=clock),
    }
    limiter = await enter(open_limiter(redis_url=None, **shared))
    cache = await enter(open_cache(redis_url=None, instance="cache-under-test", **shared))

    async def link(
        purpose: str, conversation: Conversation[Any, Any], service: Conversations[Any, Any]
    ) -> QuietLinks[Any, Any]:
        return await enter(local_links(conversation, through(purpose, service), clock=clock))

    return EdgeLinks(
        router=RouterLinks(
            watch=await link("watch", WATCH, router.watch),
            report=await link("report", REPORT, router.report),
        ),
        lease=await link("lease", LEASE, limiter),
        exchange=await link("exchange", EXCHANGE, cache),
        ingest=await link("ingest", INGEST, shelf),
    )


def _settings(folder: Path) -> EdgeSettings:
    return EdgeSettings(
        host="127.0.0.1",
        port=0,
        folder=folder / "edge",
        body_memory_bytes=64 * 1024 * 1024,
        body_bytes_max=1024 * 1024,
        connections_max=100,
        spool_bytes=64 * 1024 * 1024,
        drain_s=2.0,
        proxies=ProxyRules(),
        port_bounds=quick(),
    )
