"""A router that has not read anything good yet tells edges nothing, so that they keep what they have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.contracts.router.values import Ack, SnapshotUpdate, WatchItem
from services.kit.clock import SystemClock
from services.kit.errors import NotReady
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.router.accepted import is_conclusive
from services.router.module import COPY_NAME, router_module
from services.router.resources.documents import read_documents
from services.router.service import Router
from services.router.settings import RouterSettings
from tests.unit.router.judging import KNOWN, Desk, gateway, provider

BROKEN = gateway("main", "{cache: []}")
NO_YAML = "---\nkind: [\n"
PEER = Peer("edge-1", is_private=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resources.yaml"


@asynccontextmanager
async def running(path: Path, *, folder: Path | None = None) -> AsyncIterator[Router]:
    settings = RouterSettings(resources=str(path), folder=folder)
    async with router_module(
        settings=settings, clock=SystemClock(), tracer=NoTracer(), metrics=Metrics(), catalogue=KNOWN
    ) as router:
        yield router


async def watched(router: Router) -> asyncio.Queue[SnapshotUpdate]:
    """What an edge in the same process is told."""
    updates: asyncio.Queue[SnapshotUpdate] = asyncio.Queue()

    def hear(item: WatchItem) -> None:
        if isinstance(item, SnapshotUpdate):
            updates.put_nowait(item)

    await router.watch.open(PEER, hear).receive([Ack("edge-1", "held before", is_accepted=True)])
    return updates


@pytest.mark.parametrize("text", ["", "kind: [", BROKEN, BROKEN + NO_YAML, provider() + NO_YAML])
async def test_where_no_gateway_can_be_read_edges_are_told_nothing(path: Path, text: str) -> None:
    path.write_text(text)
    async with running(path) as router:
        updates = await watched(router)

        assert updates.empty()
        assert not router.is_published
        assert router.version == ""


async def test_it_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("kind: [")
    async with running(path) as router:
        assert [refusal.resource for refusal in router.refusals] == [str(path)]
        assert "is refused: document 1: is not valid YAML" in caplog.text
        assert "nothing is published, and edges keep what they have" in caplog.text


async def test_a_mended_file_is_published_at_once(path: Path) -> None:
    path.write_text("kind: [")
    async with running(path) as router:
        updates = await watched(router)

        path.write_text(gateway("main"))

        async with asyncio.timeout(1):
            update = await updates.get()
        assert set(update.changed) == {("local", "main")}
        assert router.refusals == ()


@pytest.mark.parametrize("bad", [gateway("bad", "{cache: []}"), NO_YAML])
async def test_a_good_gateway_is_live_beside_what_cannot_be_read(path: Path, bad: str) -> None:
    path.write_text(gateway("main") + bad)
    async with running(path) as router:
        updates = await watched(router)

        assert set(updates.get_nowait().changed) == {("local", "main")}


async def test_resources_without_a_gateway_are_published_as_they_are(path: Path) -> None:
    path.write_text(provider())
    async with running(path) as router:
        assert router.is_published


async def test_once_published_a_bad_file_takes_nothing_away(path: Path) -> None:
    path.write_text(gateway("main"))
    async with running(path) as router:
        updates = await watched(router)
        before = updates.get_nowait().version
        path.write_text(NO_YAML)
        async with asyncio.timeout(2):
            while not router.refusals:
                await asyncio.sleep(0.01)

        assert router.version == before


async def test_the_copy_of_what_was_live_is_kept_for_a_better_start(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / COPY_NAME
    path.write_text(gateway("main", "{providers: {openai: {keys: [{valueFrom: {file: key.txt}}]}}}"))
    path.with_name("key.txt").write_text("sk-test")
    async with running(path, folder=tmp_path):
        before = copy.read_bytes()
    path.with_name("key.txt").unlink()
    path.write_text("kind: [")

    async with running(path, folder=tmp_path) as router:
        assert not router.is_published
        assert copy.read_bytes() == before


async def test_an_edge_elsewhere_may_follow_another_router_meanwhile(path: Path) -> None:
    path.write_text("kind: [")
    async with running(path) as router:
        with pytest.raises(NotReady, match="no resources could be read yet"):
            router.remote_watch.open(PEER, print)

        path.write_text(gateway("main"))

        async with asyncio.timeout(1):
            while not router.is_published:
                await asyncio.sleep(0.01)
        router.remote_watch.open(PEER, print)
        assert len(router.watch) == 1


@pytest.mark.parametrize(
    ("before", "text", "is_so"),
    [
        ("", gateway(), True),
        ("", gateway() + NO_YAML, True),
        ("", provider(), True),
        ("", BROKEN, False),
        ("", NO_YAML, False),
        (gateway(), BROKEN, True),
        (gateway(), NO_YAML, True),
        (gateway(), provider(), True),
        (gateway("other"), BROKEN, False),
    ],
)
def test_what_is_live_is_conclusive_if_it_holds_a_gateway_or_none_is_declared(
    before: str, text: str, is_so: bool
) -> None:
    desk = Desk().take(before) if before else Desk()

    desk.take(text)

    assert is_conclusive(desk.accepted, read_documents(text, title="resources.yaml")) is is_so
