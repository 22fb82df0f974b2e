"""What the router promises an edge: the same in one process, over a Unix socket, over mutual TLS and over plain TCP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from services.contracts.router.conversation import REPORT, WATCH
from services.contracts.router.values import Ack, Outcome, ReportItem, Target, TargetHealth, WatchItem
from services.edge.configuration.configuration import Configuration, RouterLinks
from services.edge.configuration.module import ConfigurationSettings, edge_configuration
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.link import Conversation, Conversations, In, Out, QuietLinks
from services.kit.rpc.local import local_links
from services.kit.rpc.replicas import Caller, replicas
from services.kit.rpc.server import RpcServer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.kit.tls import TlsFiles
from services.router.module import router_module
from services.router.service import Router
from services.router.settings import RouterSettings
from tests.fakes.authority import Authority
from tests.unit.router.judging import KNOWN, gateway

CLOCK = SystemClock()
TARGET = Target("local", "main", "openai", "https://api.openai.com/v1")


class Transport(Protocol):
    """How edges reach the router."""

    def links(self) -> AbstractAsyncContextManager[RouterLinks]: ...


class InOneProcess:
    def __init__(self, router: Router) -> None:
        self._router = router

    @asynccontextmanager
    async def links(self) -> AsyncIterator[RouterLinks]:
        async with (
            local_links(WATCH, self._router.watch, clock=CLOCK) as watch,
            local_links(REPORT, self._router.report, clock=CLOCK) as report,
        ):
            yield RouterLinks(watch, report)


class OverGrpc:
    def __init__(self, target: str, tls: TlsFiles | None) -> None:
        self._target = target
        self._tls = tls

    @asynccontextmanager
    async def links(self) -> AsyncIterator[RouterLinks]:
        async with self._links(WATCH) as watch, self._links(REPORT) as report:
            yield RouterLinks(watch, report)

    def _links(self, conversation: Conversation[Out, In]) -> AbstractAsyncContextManager[QuietLinks[Out, In]]:
        dependencies = Dependencies(clock=CLOCK)
        caller = Caller(clock=CLOCK, random=random.random, dependencies=dependencies, tls=self._tls)
        return replicas(conversation, target=self._target, caller=caller)


@asynccontextmanager
async def served(router: Router, address: str, tls: TlsFiles | None = None) -> AsyncIterator[OverGrpc]:
    server = RpcServer(address, tls=tls)
    watch: Conversations[Ack, WatchItem] = router.watch
    report: Conversations[ReportItem, TargetHealth] = router.report
    server.add(WATCH, watch)
    server.add(REPORT, report)
    async with server:
        yield OverGrpc(address if address.startswith("unix:") else f"127.0.0.1:{server.port}", tls)


@asynccontextmanager
async def transport_to(router: Router, kind: str, folder: Path) -> AsyncIterator[Transport]:
    if kind == "local":
        yield InOneProcess(router)
    elif kind == "unix":
        async with served(router, f"unix://{folder}/rpc.sock") as transport:
            yield transport
    elif kind == "tls":
        async with served(router, "127.0.0.1:0", TlsFiles(Authority().write(folder / "tls"))) as transport:
            yield transport
    else:
        async with served(router, "127.0.0.1:0") as transport:
            yield transport


class Stage:
    """A router with a resource file, and edges as many as a test wants."""

    def __init__(self, router: Router, transport: Transport, path: Path, stack: AsyncExitStack) -> None:
        self.router = router
        self._transport = transport
        self._path = path
        self._stack = stack

    def write(self, *documents: str) -> None:
        self._path.write_text("".join(documents))

    async def edge(self, name: str = "edge-1") -> Configuration:
        links = await self._stack.enter_async_context(self._transport.links())
        return await self._stack.enter_async_context(
            edge_configuration(
                edge=name,
                links=links,
                settings=ConfigurationSettings(self._path.parent / name),
                clock=CLOCK,
                metrics=Metrics(),
            )
        )


PRIVATE = ["local", "unix", "tls"]


@pytest.fixture(params=[*PRIVATE, "tcp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stage(kind: str, tmp_path: Path) -> AsyncIterator[Stage]:
    path = tmp_path / "resources.yaml"
    path.write_text(gateway("main", "{cache: {ttlS: 5}, providers: {openai: {keys: [{valueFrom: {env: KEY}}]}}}"))
    settings = RouterSettings(resources=str(path), environment={"KEY": "sk-canary"})
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(
            router_module(settings=settings, clock=CLOCK, tracer=NoTracer(), metrics=Metrics(), catalogue=KNOWN)
        )
        transport = await stack.enter_async_context(transport_to(router, kind, tmp_path))
        yield Stage(router, transport, path, stack)


async def until(is_so: Callable[[], object], *, within_s: float = 3.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.002)


async def test_an_edge_gets_what_the_router_has(stage: Stage) -> None:
    edge = await stage.edge()

    await until(lambda: edge.version == stage.router.version)

    found = edge.gateway("local", "main")
    assert found is not None
    assert found.cache.ttl_s == 5
    assert edge.current is not None
    assert edge.current.catalogue == KNOWN


async def test_a_change_is_live_on_every_edge_within_a_second(stage: Stage) -> None:
    edges = [await stage.edge("edge-1"), await stage.edge("edge-2")]
    await until(lambda: all(edge.current for edge in edges))

    stage.write(gateway("main"), gateway("new"))

    await until(lambda: all(edge.gateway("local", "new") for edge in edges), within_s=1)


async def test_a_removed_gateway_is_gone_within_a_second(stage: Stage) -> None:
    edge = await stage.edge()
    await until(lambda: edge.current)

    stage.write(gateway("other"))

    await until(lambda: edge.gateway("local", "main") is None, within_s=1)


async def test_the_router_knows_what_every_edge_runs(stage: Stage) -> None:
    await stage.edge("edge-1")
    await stage.edge("edge-2")

    await until(
        lambda: (
            {name: state.version for name, state in stage.router.running.items()}
            == {"edge-1": stage.router.version, "edge-2": stage.router.version}
        )
    )


async def test_a_refused_resource_is_seen_at_the_edge(stage: Stage) -> None:
    edge = await stage.edge()
    await until(lambda: edge.current)

    stage.write(gateway("main", "{cache: {ttlS: -1}}"))

    await until(lambda: [refusal.resource for refusal in edge.refusals] == ["Gateway local/main"], within_s=1)
    assert edge.gateway("local", "main") is not None


@pytest.mark.parametrize("kind", PRIVATE, indirect=False)
async def test_stored_keys_reach_a_private_edge(stage: Stage, kind: str) -> None:
    edge = await stage.edge()

    await until(lambda: edge.current)

    assert edge.stored_key("local", "main", "openai", "default") == "sk-canary"
    assert not edge.are_keys_withheld


@pytest.mark.parametrize("kind", ["tcp"], indirect=False)
async def test_stored_keys_are_withheld_over_plain_tcp_and_the_edge_knows(stage: Stage, kind: str) -> None:
    edge = await stage.edge()

    await until(lambda: edge.current)

    assert edge.stored_key("local", "main", "openai", "default") is None
    assert edge.are_keys_withheld


async def test_failures_at_one_edge_eject_the_target_at_all(stage: Stage) -> None:
    one, other = await stage.edge("edge-1"), await stage.edge("edge-2")
    await until(lambda: len(stage.router.running) == 2)

    for _ in range(5):
        one.report(Outcome(TARGET, is_success=False, count=1))

    await until(lambda: one.is_ejected(TARGET) and other.is_ejected(TARGET), within_s=1)


async def test_an_edge_that_comes_later_learns_what_is_ejected(stage: Stage) -> None:
    one = await stage.edge("edge-1")
    await until(lambda: stage.router.running)
    one.report(Outcome(TARGET, is_success=False, count=5))
    await until(lambda: one.is_ejected(TARGET))

    other = await stage.edge("edge-2")

    await until(lambda: other.is_ejected(TARGET))


async def test_a_configuration_of_many_messages_arrives_whole(stage: Stage) -> None:
    edge = await stage.edge()
    await until(lambda: edge.current)
    pattern = "x" * 250
    spec = f"{{cache: {{include: {{models: [{', '.join(f'{pattern}{number}' for number in range(8))}]}}}}}}"
    names = [f"g{number}" for number in range(1_000)]

    stage.write(*(gateway(name, spec) for name in names))

    await until(lambda: edge.current is not None and len(edge.current.gateways) == len(names), within_s=10)
    assert edge.version == stage.router.version
