"""Log stores of every kind, opened empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from services.analytics.store.chdb import open_chdb
from services.analytics.store.clickhouse import open_clickhouse
from services.analytics.store.engine import Engine
from services.analytics.store.migrate import migrate
from tests.contract.clickhouse_front import clickhouse_front

LogStoreKind = Literal["embedded", "server"]
LOG_STORES: tuple[LogStoreKind, ...] = ("embedded", "server")


@asynccontextmanager
async def log_engine(kind: LogStoreKind, folder: Path) -> AsyncIterator[Engine]:
    if kind == "embedded":
        async with open_chdb(folder) as embedded:
            await migrate(embedded)
            yield embedded
        return
    async with clickhouse_front(folder) as front, open_clickhouse(front.url) as server:
        await server.create_database()
        await migrate(server)
        yield server
