"""
SQL store: a `LogStore` on any engine.

A batch is two INSERTs, bodies first, so that a log that can be seen has its bodies; both carry the batch's id, so a
batch that was cut off between them is completed by sending it again. Hazard: ClickHouse takes what follows an empty
line of an INSERT for the next statement, so a batch with one is refused before it gets there.
"""

from __future__ import annotations

import logging

from services.analytics.shown import metadata_of, rfc3339
from services.analytics.store import sql
from services.analytics.store.engine import Engine, Row, StatementRefused
from services.analytics.store.fields import FIELDS, LISTED, LogField
from services.analytics.store.logs import BatchRefused, StoredBody
from services.contracts.analytics.values import EventBatch, LogPage, LogQuery
from services.kit.errors import DependencyUnavailable

_MALFORMED = {
    "ARGUMENT_OUT_OF_BOUND",
    "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    "CANNOT_READ_ALL_DATA",
    "CANNOT_READ_ARRAY_FROM_TEXT",
    "DECIMAL_OVERFLOW",
    "INCORRECT_DATA",
    "SYNTAX_ERROR",
    "TOO_LARGE_STRING_SIZE",
    "TYPE_MISMATCH",
    "UNEXPECTED_END_OF_FILE",
    "UNKNOWN_IDENTIFIER",
}
"""Besides everything that begins with CANNOT_PARSE: what is wrong with a batch and will not get better."""

_log = logging.getLogger(__name__)


class SqlLogStore:
    """`LogStore` on an engine whose tables are migrated."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    async def insert(self, batch: EventBatch) -> None:
        """Returns when the batch is stored, once. Raises BatchRefused, DependencyUnavailable."""
        for lines in (batch.bodies, batch.rows):
            if lines and (not lines.startswith(b"[") or b"\n\n" in lines or b"\n\r" in lines):
                raise BatchRefused("not one JSON array a line")
        try:
            if batch.bodies:
                await self._engine.execute(sql.insert_bodies(batch), batch.bodies)
            if batch.rows:
                await self._engine.execute(sql.insert_logs(batch), batch.rows)
        except StatementRefused as error:
            if error.name.startswith("CANNOT_PARSE") or error.name in _MALFORMED:
                raise BatchRefused(str(error)) from None
            raise _unavailable(error) from None

    async def query(self, query: LogQuery) -> LogPage:
        """One page of logs, without bodies. Raises QueryInvalid, DependencyUnavailable."""
        page, count = sql.page(query), sql.count(query)
        rows = await self._rows(page)
        (counted,) = await self._rows(count)
        return LogPage(
            logs=tuple(_shown(LISTED, row) for row in rows),
            total_count=int(counted[0]),
            extremes=_extremes(counted[1:]) if query.with_extremes else {},
        )

    async def log(self, account: str, gateway: str, log_id: str) -> dict[str, object] | None:
        """One log with everything that is known of it. Raises DependencyUnavailable."""
        rows = await self._rows(sql.log(FIELDS, account=account, gateway=gateway, log_id=log_id))
        return _shown(FIELDS, rows[0]) if rows else None

    async def body(self, account: str, gateway: str, log_id: str) -> StoredBody | None:
        """What was said; None where nothing was kept. Raises DependencyUnavailable."""
        rows = await self._rows(sql.body(account=account, gateway=gateway, log_id=log_id))
        return StoredBody(*rows[0]) if rows else None

    async def _rows(self, select: sql.Select) -> list[Row]:
        try:
            return list(await self._engine.fetch(select.text, select.parameters))
        except StatementRefused as error:
            _log.warning("the log store refused a question: %s", error)
            raise _unavailable(error) from None


def _unavailable(error: StatementRefused) -> DependencyUnavailable:
    return DependencyUnavailable(f"the log store cannot answer: {error}")


def _shown(fields: tuple[LogField, ...], row: Row) -> dict[str, object]:
    """A row as the management API shows it."""
    return {field.name: _value(field, value) for field, value in zip(fields, row, strict=True)}


def _value(field: LogField, value: object) -> object:
    if field.kind == "flag":
        return bool(value)
    if field.kind == "time":
        return rfc3339(int(str(value)))
    if field.kind == "object":
        return metadata_of(str(value))
    return value


def _extremes(counted: Row) -> dict[str, int | float | None]:
    names = [f"{side}_{name}" for side in ("min", "max") for name, _ in sql.EXTREMES]
    return dict(zip(names, counted, strict=True))
