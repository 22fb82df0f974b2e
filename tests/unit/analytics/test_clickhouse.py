"""A ClickHouse server: how it is found, and what happens while it is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from services.analytics.module import open_analytics
from services.analytics.store.clickhouse import open_clickhouse, parse_clickhouse_url
from services.analytics.store.migrate import migrate
from services.analytics.store.sql_store import SqlLogStore
from services.contracts.analytics.values import Ack, LogQuery
from services.kit.clock import SystemClock
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.health import Dependencies
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from tests.contract.clickhouse_front import ClickHouseFront, clickhouse_front
from tests.rows import event_batch, log_body, log_row


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[ClickHouseFront]:
    async with clickhouse_front(tmp_path / "server") as front:
        yield front


@pytest.mark.parametrize(
    ("url", "base", "user", "password", "database"),
    [
        ("clickhouse://ann:s%40x@db:8123/logs", "http://db:8123/", "ann", "s@x", "logs"),
        ("clickhouses://db", "https://db:8443/", "default", "", "narrows"),
        ("clickhouse://[::1]/", "http://[::1]:8123/", "default", "", "narrows"),
    ],
)
def test_an_address_is_read_from_its_url(url: str, base: str, user: str, password: str, database: str) -> None:
    address = parse_clickhouse_url(url)

    assert (address.url, address.user, address.database) == (base, user, database)
    assert address.password.reveal() == password
    assert password == "" or password not in repr(address)


@pytest.mark.parametrize("url", ["http://db:8123/logs", "clickhouse:///logs", "db"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="NARROWS_CLICKHOUSE_URL: must be clickhouse://"):
        parse_clickhouse_url(url)


async def test_a_wrong_password_is_a_wrong_setting(front: ClickHouseFront) -> None:
    async with open_clickhouse(front.url.replace("ss%2Fword", "wrong")) as engine:
        with pytest.raises(SettingsInvalid, match="AUTHENTICATION_FAILED"):
            await engine.create_database()


@asynccontextmanager
async def answering(status: int, text: str, **headers: str) -> AsyncIterator[str]:
    """A server that says this to everything; gives its `clickhouse://` URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"clickhouse://ann:secret@127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_native_port_is_told_from_the_right_one() -> None:
    async with (
        answering(400, "Port 9000 is for clickhouse-client program\n") as url,
        open_clickhouse(url) as engine,
    ):
        with pytest.raises(SettingsInvalid, match="must be ClickHouse's HTTP port"):
            await engine.create_database()


async def test_something_in_front_of_a_server_that_is_down_is_waited_for() -> None:
    async with (
        answering(503, "<html>upstream connect error</html>") as url,
        open_clickhouse(url) as engine,
    ):
        with pytest.raises(DependencyUnavailable, match="in place of ClickHouse says HTTP 503"):
            await engine.create_database()


async def test_a_redirect_does_not_take_the_password_along() -> None:
    async with (
        answering(200, "") as elsewhere,
        answering(307, "", Location=elsewhere.replace("clickhouse://ann:secret@", "http://")) as url,
        open_clickhouse(url) as engine,
    ):
        with pytest.raises(DependencyUnavailable, match="HTTP 307"):
            await engine.execute("SELECT 1")


async def test_a_user_of_one_database_alone_needs_no_right_to_make_one() -> None:
    denied = "Code: 497. DB::Exception: ann: Not enough privileges. (ACCESS_DENIED)"
    async with answering(403, denied) as url, open_clickhouse(url) as engine:
        await engine.create_database()


async def test_a_user_without_the_right_to_make_tables_is_a_wrong_setting(tmp_path: Path) -> None:
    clock = SystemClock()
    denied = "Code: 497. DB::Exception: ann: Not enough privileges. (ACCESS_DENIED)"
    async with answering(403, denied) as url:
        opening = open_analytics(
            folder=tmp_path,
            clickhouse_url=url,
            clock=clock,
            tracer=NoTracer(),
            metrics=Metrics(),
            dependencies=Dependencies(clock=clock),
        )
        with pytest.raises(SettingsInvalid, match=r"NARROWS_CLICKHOUSE_URL: the log tables .* ACCESS_DENIED \(497\)"):
            await opening.__aenter__()


async def test_a_server_that_is_down_is_no_answer(front: ClickHouseFront) -> None:
    front.is_down = True
    async with open_clickhouse(front.url) as engine:
        with pytest.raises(DependencyUnavailable, match="ClickHouse cannot be reached"):
            await engine.fetch("SELECT 1", {})


async def test_a_batch_whose_answer_was_lost_is_stored_once(front: ClickHouseFront) -> None:
    rows = [log_row(number, retention_days=3650) for number in range(5)]
    batch = event_batch(rows, [log_body(row) for row in rows])
    async with open_clickhouse(front.url) as engine:
        await engine.create_database()
        await migrate(engine)
        store = SqlLogStore(engine=engine)
        front.is_mute = True
        for _ in range(3):
            with pytest.raises(DependencyUnavailable):
                await store.insert(batch)
        front.is_mute = False
        await store.insert(batch)

        counts = "SELECT count(), (SELECT count() FROM bodies), (SELECT sum(requests) FROM hourly) FROM logs"
        assert await engine.fetch(counts, {}) == [[5, 5, 5]]


async def test_analytics_starts_without_its_server_and_stores_when_it_comes(
    front: ClickHouseFront,
    tmp_path: Path,
) -> None:
    front.is_down = True
    clock = SystemClock()
    acks: list[Ack] = []
    async with open_analytics(
        folder=tmp_path / "analytics",
        clickhouse_url=front.url,
        clock=clock,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=Dependencies(clock=clock),
    ) as analytics:
        session = analytics.service.open(Peer("edge", is_private=True), acks.append)
        await session.receive([event_batch([log_row(1, retention_days=3650)])])
        with pytest.raises(DependencyUnavailable):
            await analytics.store.query(LogQuery("local", "main"))
        store_while_down = analytics.report()["store"]
        front.is_down = False
        async with asyncio.timeout(5):
            await analytics.inserts.settled()
        page = await analytics.store.query(LogQuery("local", "main"))

    assert store_while_down == {"state": "down", "waiting_batches": 1, "refused_batches": 0}
    assert page.total_count == 1
    assert acks == [Ack("edge-1", 1)]
