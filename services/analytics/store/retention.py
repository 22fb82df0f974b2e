"""
Retention: partitions whose time is over are dropped whole.

A partition of rows is a day and the days its rows are kept, so that nothing in it is kept a day longer than
another. Dropping one removes directories; no row is read, none is rewritten, and inserts go on meanwhile. One that
the store will not drop now does not hold up the others.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from services.analytics.store.engine import Engine, StatementRefused
from services.analytics.store.schema import HOURLY_KEPT_DAYS, RETENTION
from services.kit.errors import DependencyUnavailable

_PARTITIONS = """
SELECT DISTINCT table, partition FROM system.parts WHERE active AND database = currentDatabase()
ORDER BY table, partition
"""
_HOWEVER_LARGE = "max_partition_size_to_drop = 0"
"""A server refuses to drop more than 50 GB at once unless it is told that this is meant."""

_ROWS_PARTITION = re.compile(r"\((\d{8}),(\d+)\)")
_MONTH_PARTITION = re.compile(r"\d{6}")


class SqlRetention:
    """`Retention` on an engine whose tables are migrated."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    async def drop_expired(self, *, wall_s: float) -> list[str]:
        """Drop the partitions whose time is over; gives their names. Raises DependencyUnavailable."""
        dropped: list[str] = []
        refusals: list[str] = []
        for table, partition in await self._expired(wall_s):
            try:
                await self._engine.execute(f"ALTER TABLE {table} DROP PARTITION {partition} SETTINGS {_HOWEVER_LARGE}")
                dropped.append(f"{table} {partition}")
            except StatementRefused as error:
                refusals.append(f"{table} {partition}: {error}")
        if refusals:
            raise DependencyUnavailable(f"the log store did not drop what is past its time: {'; '.join(refusals)}")
        return dropped

    async def _expired(self, wall_s: float) -> list[tuple[str, str]]:
        try:
            partitions = await self._engine.fetch(_PARTITIONS, {})
        except StatementRefused as error:
            raise DependencyUnavailable(f"the log store did not say what it has: {error}") from None
        return [(table, name) for table, name in partitions if _is_over(partition_ends_s(table, name), wall_s)]


def _is_over(ends_s: float | None, wall_s: float) -> bool:
    return ends_s is not None and ends_s <= wall_s


def partition_ends_s(table: str, partition: str) -> float | None:
    """When the last row of a partition is past its time, in seconds since the epoch; None: never."""
    rows = _ROWS_PARTITION.fullmatch(partition)
    if RETENTION.get(table) == "row" and rows is not None:
        day = datetime.strptime(rows[1], "%Y%m%d").replace(tzinfo=UTC)
        return (day + timedelta(days=1 + int(rows[2]))).timestamp()
    if RETENTION.get(table) == "hourly" and _MONTH_PARTITION.fullmatch(partition):
        month = datetime.strptime(partition, "%Y%m").replace(tzinfo=UTC)
        next_month = (month + timedelta(days=31)).replace(day=1)
        return (next_month + timedelta(days=HOURLY_KEPT_DAYS)).timestamp()
    return None
