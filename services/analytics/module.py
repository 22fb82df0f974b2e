"""
Analytics module: the store, the service and the admin port, opened and closed together.

Opening locks the folder, brings the tables up to date and starts the loops that insert and that end what is past its
time. Closing stores what was taken, as far as the store is up, and closes the engine properly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from services.analytics.admin.application import make_application
from services.analytics.admin.gate import Gate
from services.analytics.admin.logs import Logs
from services.analytics.edges import Edges
from services.analytics.inserts import Inserts
from services.analytics.refused import RefusedBatches
from services.analytics.service import AnalyticsService
from services.analytics.store.chdb import open_chdb
from services.analytics.store.clickhouse import open_clickhouse
from services.analytics.store.engine import StatementRefused
from services.analytics.store.logs import LogStore, Retention
from services.analytics.store.migrate import migrate
from services.analytics.store.prepared import PreparedEngine
from services.analytics.store.retention import SqlRetention
from services.analytics.store.sql_store import SqlLogStore
from services.analytics.tails import Tails
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.files import locked_folder
from services.kit.health import Dependencies
from services.kit.health_server import listening
from services.kit.kinds import Address
from services.kit.names import StatusField
from services.kit.secret import Secret
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer

RETENTION_EVERY_S = 3_600.0
RETENTION_RETRY_S = 60.0
"""After a store that was down or refused."""

SETTLE_S_MAX = 5.0
"""For batches that were taken to be stored before the engine is closed; edges keep those that were not."""

_NOT_ALLOWED = frozenset({"ACCESS_DENIED", "READONLY", "UNKNOWN_DATABASE"})
"""What a server says to a user who has not the rights; time will not mend it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Analytics:
    """What is open. `service` speaks with edges, the rest is for the admin port."""

    service: AnalyticsService
    store: LogStore
    edges: Edges
    inserts: Inserts
    refused: RefusedBatches
    dependencies: Dependencies

    def report(self) -> dict[str, object]:
        """What the admin port's /status says beside this process' own: edges, refused resources, the store."""
        return {
            StatusField.EDGES: [{"edge": edge, **told} for edge, told in self.edges.statuses().items()],
            StatusField.REFUSED_RESOURCES: self.edges.refusals(),
            StatusField.STORE: {
                "state": "down" if self.dependencies.is_down("store") else "up",
                "waiting_batches": self.inserts.waiting_count,
                "refused_batches": self.refused.count,
            },
        }


@asynccontextmanager
async def open_analytics(
    *,
    folder: Path,
    clickhouse_url: str | None = None,
    clock: Clock,
    tracer: Tracer,
    metrics: Metrics,
    dependencies: Dependencies,
) -> AsyncIterator[Analytics]:
    """
    Analytics on a ClickHouse server, or without a URL on an embedded one in the folder.

    Raises SettingsInvalid where the folder cannot be used or the server will not have us; a store that is down, or
    full, is waited for.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(locked_folder(folder))
        engine = await stack.enter_async_context(_opened_engine(folder, clickhouse_url))
        await _prepare(engine, dependencies)
        store, refused = SqlLogStore(engine=engine), RefusedBatches(folder=folder / "refused")
        tails, edges = Tails(), Edges(clock=clock)
        inserts = Inserts(
            store=store,
            refused=refused,
            tails=tails,
            dependencies=dependencies,
            metrics=metrics,
            tracer=tracer,
        )
        service = AnalyticsService(store=store, inserts=inserts, tails=tails, edges=edges)
        await stack.enter_async_context(_running(inserts, SqlRetention(engine=engine), clock))
        yield Analytics(service, store, edges, inserts, refused, dependencies)


@asynccontextmanager
async def open_admin(
    *,
    analytics: Analytics,
    address: Address,
    token: Secret | None,
    status: Callable[[], Mapping[str, object]],
    also: Sequence[web.RouteDef] = (),
) -> AsyncIterator[int]:
    """
    The admin port, listening; gives its number. Raises SettingsInvalid where it cannot.

    `status` is this process' own /status; `also` is what else it serves there.
    """
    application = make_application(
        gate=Gate(token=token),
        logs=Logs(store=analytics.store),
        status=lambda: {**status(), **analytics.report()},
        also=also,
    )
    async with listening(application, address, setting="NARROWS_ADMIN_ADDRESS") as actual:
        yield actual.port


@asynccontextmanager
async def _opened_engine(folder: Path, clickhouse_url: str | None) -> AsyncIterator[PreparedEngine]:
    async with AsyncExitStack() as stack:
        if clickhouse_url is None:
            embedded = await stack.enter_async_context(open_chdb(folder / "logs"))
            yield PreparedEngine(engine=embedded, prepare=partial(migrate, embedded))
            return
        server = await stack.enter_async_context(open_clickhouse(clickhouse_url))

        async def prepare() -> None:
            await server.create_database()
            await migrate(server)

        yield PreparedEngine(engine=server, prepare=prepare)


async def _prepare(engine: PreparedEngine, dependencies: Dependencies) -> None:
    """Make the tables now, or with the first statement that the store takes. Raises SettingsInvalid."""
    try:
        await engine.prepare()
    except (StatementRefused, DependencyUnavailable) as error:
        if isinstance(error, StatementRefused) and error.name in _NOT_ALLOWED:
            raise SettingsInvalid(f"NARROWS_CLICKHOUSE_URL: the log tables cannot be made: {error}") from None
        dependencies.report("store", "down")
        _log.warning("the log store is down at the start, edges keep their batches: %s", error)
    else:
        dependencies.report("store", "up")


@asynccontextmanager
async def _running(inserts: Inserts, retention: Retention, clock: Clock) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = (
            tasks.create_task(inserts.run(), name="analytics inserts"),
            tasks.create_task(_end_expired(retention, clock), name="analytics retention"),
        )
        try:
            yield
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S_MAX):
                    await inserts.settled()
        finally:
            for task in running:
                task.cancel()


async def _end_expired(retention: Retention, clock: Clock) -> None:
    """Now and every hour; sooner again where that did not work."""
    while True:
        pause_s = RETENTION_EVERY_S
        try:
            for partition in await retention.drop_expired(wall_s=clock.wall_s()):
                _log.info("past its time and dropped: %s", partition)
        except DependencyUnavailable as error:
            pause_s = RETENTION_RETRY_S
            _log.warning("%s", error)
        await asyncio.sleep(pause_s)
