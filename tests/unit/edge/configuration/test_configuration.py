"""The configuration as the pipeline sees it, with a real router at the other end of links in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.contracts.router.conversation import REPORT, WATCH
from services.contracts.router.values import Outcome, Snapshot, StoredKey, Target
from services.edge.configuration.configuration import Configuration, RouterLinks
from services.edge.configuration.module import ConfigurationSettings, edge_configuration
from services.kit.clock import SystemClock
from services.kit.rpc.local import local_links
from services.kit.secret import Secret
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.router.report import Reporting
from services.router.watch import Watching
from tests.unit.edge.configuration.streams import gateway, release

CLOCK = SystemClock()
KEY = StoredKey("local", "main", "openai", "default", "sk-canary")
TARGET = Target("local", "main", "openai", "https://api.openai.com/v1")


class Router:
    """The router's two conversations, without resources."""

    def __init__(self) -> None:
        self.watch = Watching()
        self.report = Reporting(clock=CLOCK, tracer=NoTracer())


@asynccontextmanager
async def edge(
    router: Router, folder: Path, *, metrics: Metrics | None = None, snapshot_key: str | None = "a passphrase"
) -> AsyncIterator[Configuration]:
    settings = ConfigurationSettings(folder, None if snapshot_key is None else Secret(snapshot_key))
    async with (
        local_links(WATCH, router.watch, clock=CLOCK) as watch,
        local_links(REPORT, router.report, clock=CLOCK) as report,
        edge_configuration(
            edge="edge-1",
            links=RouterLinks(watch, report),
            settings=settings,
            clock=CLOCK,
            metrics=metrics or Metrics(),
        ) as configuration,
    ):
        yield configuration


async def until(is_so: Callable[[], object], *, within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.002)


@pytest.fixture
def router() -> Router:
    return Router()


async def test_before_a_router_answers_there_is_no_configuration(router: Router, tmp_path: Path) -> None:
    async with edge(router, tmp_path) as configuration:
        assert configuration.current is None
        assert configuration.version == ""
        assert configuration.gateway("local", "main") is None
        assert configuration.by_host("ai.example.com") is None
        assert configuration.stored_key("local", "main", "openai", "default") is None
        assert not configuration.has_hosts


async def test_what_the_router_publishes_is_what_requests_see(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main", ttl_s=300)), (KEY,))
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)

        found = configuration.gateway("local", "main")
        assert found is not None
        assert found.cache.ttl_s == 300
        assert configuration.gateway("local", "other") is None
        assert configuration.stored_key("local", "main", "openai", "default") == "sk-canary"
        assert configuration.stored_key("local", "main", "openai", "other") is None


async def test_a_gateway_that_is_removed_is_gone(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main"), gateway("other")), ())
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)

        router.watch.publish(release(gateway("main")), ())

        await until(lambda: configuration.gateway("local", "other") is None)
        assert configuration.gateway("local", "main") is not None


@pytest.mark.parametrize("host", ["ai.example.com", "AI.Example.com", "ai.example.com:8787", "ai.example.com."])
async def test_a_host_implies_its_gateway_however_it_is_written(host: str, router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main", hosts=("ai.example.com",))), ())
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)

        assert configuration.has_hosts
        assert configuration.by_host(host) is configuration.gateway("local", "main")
        assert configuration.by_host("other.example.com") is None


async def test_a_request_keeps_the_snapshot_it_began_with(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main", ttl_s=1)), ())
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)
        begun_with = configuration.current
        assert begun_with is not None

        router.watch.publish(release(gateway("main", ttl_s=2)), ())
        await until(lambda: configuration.current is not begun_with)

        assert begun_with.gateways["local", "main"].cache.ttl_s == 1


async def test_who_subscribes_is_told_of_the_current_snapshot_and_of_every_change(
    router: Router, tmp_path: Path
) -> None:
    router.watch.publish(release(gateway("main")), ())
    told: list[Snapshot] = []
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)
        configuration.subscribe(told.append)

        router.watch.publish(release(gateway("other")), ())
        await until(lambda: len(told) > 1)

    assert [set(snapshot.gateways) for snapshot in told] == [{("local", "main")}, {("local", "other")}]


async def test_the_router_knows_what_the_edge_runs(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main")), ())
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)

        await until(lambda: router.report.running.get("edge-1", ("",))[0] == configuration.version)


async def test_failures_come_back_as_an_ejection(router: Router, tmp_path: Path) -> None:
    async with edge(router, tmp_path) as configuration:
        await until(lambda: router.report.running)

        for _ in range(5):
            configuration.report(Outcome(TARGET, is_success=False, count=1))

        await until(lambda: configuration.is_ejected(TARGET))


async def test_an_edge_that_starts_without_a_router_serves_from_its_copy(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main", ttl_s=5)), (KEY,))
    async with edge(router, tmp_path) as configuration:
        await until(lambda: configuration.current)

    async with edge(Router(), tmp_path) as configuration:
        assert configuration.current is None
        await until(lambda: configuration.current)

        assert configuration.gateway("local", "main") == gateway("main", ttl_s=5)
        assert configuration.stored_key("local", "main", "openai", "default") == "sk-canary"


async def test_without_a_key_for_the_copy_stored_keys_wait_for_the_router(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main")), (KEY,))
    async with edge(router, tmp_path, snapshot_key=None) as configuration:
        await until(lambda: configuration.current)
    later = Router()

    async with edge(later, tmp_path, snapshot_key=None) as configuration:
        await until(lambda: configuration.current)
        assert configuration.stored_key("local", "main", "openai", "default") is None

        later.watch.publish(release(gateway("main"), revision=2), (KEY,))

        await until(lambda: configuration.stored_key("local", "main", "openai", "default") == "sk-canary")


async def test_the_last_of_many_changes_is_on_disk_when_the_edge_has_stopped(router: Router, tmp_path: Path) -> None:
    router.watch.publish(release(gateway("main")), ())
    async with edge(router, tmp_path) as configuration:
        for number in range(1, 50):
            router.watch.publish(release(gateway("main", ttl_s=number), revision=number), ())
        await until(lambda: configuration.gateway("local", "main") == gateway("main", ttl_s=49))

    async with edge(Router(), tmp_path) as configuration:
        await until(lambda: configuration.current)
        assert configuration.gateway("local", "main") == gateway("main", ttl_s=49)


async def test_a_copy_that_cannot_be_written_stops_nothing(
    router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "no-folder"
    folder.write_text("a file stands here")
    router.watch.publish(release(gateway("main")), ())

    async with edge(router, folder) as configuration:
        await until(lambda: configuration.current)

    assert "could not be copied to disk" in caplog.text


async def test_gateways_and_ejected_targets_are_counted(router: Router, tmp_path: Path) -> None:
    metrics = Metrics()
    router.watch.publish(release(gateway("a"), gateway("b")), ())
    async with edge(router, tmp_path, metrics=metrics) as configuration:
        await until(lambda: configuration.current)

        text = metrics.render().decode()

    assert "narrows_gateways 2.0" in text
    assert "narrows_ejected_targets 0.0" in text
    assert 'narrows_snapshots_total{outcome="accepted"} 1.0' in text
