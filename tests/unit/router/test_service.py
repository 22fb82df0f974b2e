"""The router with a real file: how soon and how a change comes to an edge that listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.contracts.router.values import Ack, Catalogue, SnapshotUpdate, StoredKeys, WatchItem
from services.kit.clock import SystemClock
from services.kit.errors import SettingsInvalid
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.router.module import router_module
from services.router.resources.addresses import Resolved
from services.router.service import Router
from services.router.settings import RouterSettings
from tests.unit.router.judging import KNOWN, gateway

PRIVATE = Peer("edge-1", is_private=True)


@asynccontextmanager
async def running(resources: Path | None, **environment: str) -> AsyncIterator[Router]:
    settings = RouterSettings(resources=None if resources is None else str(resources), environment=environment)
    async with router_module(
        settings=settings, clock=SystemClock(), tracer=NoTracer(), metrics=Metrics(), catalogue=KNOWN
    ) as router:
        yield router


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resources.yaml"
    path.write_text(gateway("main"))
    return path


class Edge:
    """Acknowledges everything at once."""

    def __init__(self, router: Router) -> None:
        self.updates: asyncio.Queue[SnapshotUpdate] = asyncio.Queue()
        self.keys: list[StoredKeys] = []
        self._session = router.watch.open(PRIVATE, self._hear)

    async def introduce(self) -> None:
        await self._session.receive([Ack("edge-1", "", is_accepted=True)])

    async def next(self) -> SnapshotUpdate:
        async with asyncio.timeout(1):
            update = await self.updates.get()
        await self._session.receive([Ack("edge-1", update.version, is_accepted=True)])
        return update

    def _hear(self, item: WatchItem) -> None:
        if isinstance(item, StoredKeys):
            self.keys.append(item)
        else:
            self.updates.put_nowait(item)


async def test_an_edge_has_the_resources_as_soon_as_the_router_runs(path: Path) -> None:
    async with running(path) as router:
        edge = Edge(router)
        await edge.introduce()

        assert set((await edge.next()).changed) == {("local", "main")}


async def test_a_changed_file_is_with_the_edge_within_a_second(path: Path) -> None:
    async with running(path) as router:
        edge = Edge(router)
        await edge.introduce()
        await edge.next()

        path.write_text(gateway("main") + gateway("new"))

        assert set((await edge.next()).changed) == {("local", "new")}


async def test_a_broken_file_leaves_everything_live_and_is_seen(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(path) as router:
        edge = Edge(router)
        await edge.introduce()
        before = (await edge.next()).version

        path.write_text("kind: [")

        update = await edge.next()
        assert (update.version, update.changed, update.removed) == (before, {}, ())
        assert update.refusals == router.refusals
        assert "is refused" in caplog.text


async def test_a_mended_file_is_told_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path.write_text(gateway("main", "{cache: []}") + gateway("other"))
    async with running(path) as router:
        edge = Edge(router)
        await edge.introduce()
        await edge.next()

        path.write_text(gateway("main") + gateway("other"))

        await edge.next()
        assert router.refusals == ()
        assert "Gateway local/main is no longer refused" in caplog.text


async def test_a_rotated_key_file_is_with_the_edge_within_a_second(path: Path) -> None:
    key = path.with_name("key.txt")
    key.write_text("sk-one\n")
    path.write_text(gateway(spec="{providers: {openai: {keys: [{valueFrom: {file: key.txt}}]}}}"))
    async with running(path) as router:
        edge = Edge(router)
        await edge.introduce()
        await edge.next()

        key.write_text("sk-two\n")
        await edge.next()

        assert [key.key for keys in edge.keys for key in keys.keys] == ["sk-one", "sk-two"]


async def test_without_a_file_the_built_in_gateways_are_live() -> None:
    async with running(None) as router:
        assert router.watch.release is not None
        assert set(router.watch.release.content.gateways) == {("local", "main"), ("local", "limited")}


async def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        async with running(tmp_path / "missing.yaml"):
            pass


async def test_refusals_and_watchers_are_counted(path: Path) -> None:
    path.write_text(gateway("main", "{cache: []}"))
    metrics = Metrics()
    async with router_module(
        settings=RouterSettings(resources=str(path)),
        clock=SystemClock(),
        tracer=NoTracer(),
        metrics=metrics,
        catalogue=KNOWN,
    ) as router:
        Edge(router)

        text = metrics.render().decode()

    assert "narrows_refused_resources 1.0" in text
    assert "narrows_watchers 1.0" in text


async def test_a_base_url_that_resolves_to_a_metadata_service_is_refused(path: Path) -> None:
    path.write_text(gateway(spec='{providers: {openai: {baseURL: "https://rebound.example.com/v1"}}}'))

    async def resolve(hosts: Collection[str]) -> Resolved:
        return dict.fromkeys(hosts, ("169.254.169.254",))

    async with router_module(
        settings=RouterSettings(resources=str(path)),
        clock=SystemClock(),
        tracer=NoTracer(),
        metrics=Metrics(),
        catalogue=KNOWN,
        resolve=resolve,
    ) as router:
        (refusal,) = router.refusals

    assert refusal.reason == (
        "spec.providers.openai.baseURL: resolves to an address that it must not: "
        "must not be a link-local or metadata address"
    )


async def test_the_catalogue_that_comes_with_narrows_has_prices(path: Path) -> None:
    settings = RouterSettings(resources=str(path), simulator_url="http://127.0.0.1:8790")
    async with router_module(settings=settings, clock=SystemClock(), tracer=NoTracer(), metrics=Metrics()) as router:
        assert router.watch.release is not None
        catalogue = msgspec.json.decode(router.watch.release.content.catalogue, type=Catalogue)

    assert catalogue.rates["openai"]
    assert catalogue.rates["simulator"]
    assert catalogue.providers["simulator"].bases[0].url == "http://127.0.0.1:8790"
