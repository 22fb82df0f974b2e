"""
SQL: every statement that reads or writes logs, as text and parameters.

Nothing here runs anything. The same text goes to embedded ClickHouse and to a server.

Hazard: an INSERT names its columns by the version of the batch, because a batch may come from an older edge; from a
newer one it brings more than this program knows, and the rest is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.analytics.store.conditions import Parameters, moment, of_gateway, where
from services.analytics.store.fields import FIELDS_BY_NAME, LISTED, ORDERS, LogField
from services.analytics.store.schema import BODY_COLUMNS, COLUMN_COUNTS, LOG_COLUMNS
from services.contracts.analytics.values import EventBatch, LogQuery
from services.kit.errors import QueryInvalid
from services.kit.identifiers import ulid_milliseconds

PER_PAGE_MAX = 50
PAGE_MAX = 1_000_000

QUERY_S_MAX = 10
QUERY_BYTES_MAX = 512 * 1_048_576
QUERY_THREADS = 2

_QUERY_SETTINGS = (
    f"SETTINGS max_execution_time = {QUERY_S_MAX}, max_memory_usage = {QUERY_BYTES_MAX}, "
    f"max_threads = {QUERY_THREADS}, output_format_json_quote_64bit_integers = 0"
)
_INSERT_SETTINGS = (
    "insert_deduplicate = 1, deduplicate_blocks_in_dependent_materialized_views = 1, async_insert = 0, "
    "input_format_parallel_parsing = 0, max_insert_threads = 1, max_partitions_per_insert_block = 0, "
    "input_format_null_as_default = 0"
)

ID_APART_MS = 3_600_000
"""A row's id and its time are made in the same moment by the same clock, unless somebody sets that clock in between."""

EXTREMES: tuple[tuple[str, str], ...] = (
    ("cost", FIELDS_BY_NAME["cost"].expression),
    ("duration", "duration_ms"),
    ("tokens_in", "tokens_in"),
    ("tokens_out", "tokens_out"),
    ("total_tokens", "ifNull(tokens_in, 0) + ifNull(tokens_out, 0)"),
)
"""What `meta_info` tells the smallest and largest of."""


@dataclass(frozen=True, slots=True)
class Select:
    """One question to the engine."""

    text: str
    parameters: dict[str, str] = field(default_factory=dict)


def insert_logs(batch: EventBatch) -> str:
    """The INSERT of a batch's rows."""
    return _insert("logs", LOG_COLUMNS[: _column_counts(batch)[0]], batch)


def insert_bodies(batch: EventBatch) -> str:
    """The INSERT of a batch's bodies."""
    return _insert("bodies", BODY_COLUMNS[: _column_counts(batch)[1]], batch)


def page(query: LogQuery) -> Select:
    """The rows of one page. Raises QueryInvalid."""
    parameters = Parameters()
    clauses = (
        f"ORDER BY {_order(query)}",
        f"LIMIT {_per_page(query)} OFFSET {(_page(query) - 1) * query.per_page}",
    )
    return _select(selected(LISTED), "logs", where(query, parameters), *clauses, parameters=parameters)


def count(query: LogQuery) -> Select:
    """How many rows match, and their extremes if they are asked for: the smallest of each, then the largest."""
    parameters = Parameters()
    wanted = ["count()"]
    if query.with_extremes:
        wanted += [f"{side}({expression})" for side in ("min", "max") for _, expression in EXTREMES]
    return _select(", ".join(wanted), "logs", where(query, parameters), parameters=parameters)


def log(fields: tuple[LogField, ...], *, account: str, gateway: str, log_id: str) -> Select:
    """One log. Its id says about when it was, so other days are not looked into."""
    parameters = Parameters()
    conditions = [of_gateway(account, gateway, parameters), f"id = {parameters.add(log_id)}"]
    milliseconds = ulid_milliseconds(log_id)
    if milliseconds is not None:
        conditions += [
            f"created_at {comparison} {moment(milliseconds + apart_ms, parameters)}"
            for comparison, apart_ms in ((">=", -ID_APART_MS), ("<=", ID_APART_MS))
        ]
    return _select(selected(fields), "logs", " AND ".join(conditions), "LIMIT 1", parameters=parameters)


def body(*, account: str, gateway: str, log_id: str) -> Select:
    """The bodies of one log."""
    parameters = Parameters()
    condition = f"{of_gateway(account, gateway, parameters)} AND id = {parameters.add(log_id)}"
    columns = "request, response, is_request_cut, is_response_cut"
    return _select(columns, "bodies", condition, "LIMIT 1", parameters=parameters)


def selected(fields: tuple[LogField, ...]) -> str:
    """The fields' expressions; times as milliseconds."""
    return ", ".join(
        f"toUnixTimestamp64Milli({each.expression})" if each.kind == "time" else each.expression for each in fields
    )


def quoted(text: str) -> str:
    """A string literal, where no parameter can stand."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _select(columns: str, table: str, condition: str, *clauses: str, parameters: Parameters) -> Select:
    """One statement, made of this program's own words; what a user sent is in the parameters."""
    text = f"SELECT {columns} FROM {table} WHERE {condition}"  # noqa: S608 - see above
    return Select(" ".join((text, *clauses, _QUERY_SETTINGS)), parameters.values)


def _insert(table: str, columns: tuple[tuple[str, str], ...], batch: EventBatch) -> str:
    names = ", ".join(name for name, _ in columns)
    settings = f"insert_deduplication_token = {quoted(f'{batch.edge}:{batch.sequence}')}, {_INSERT_SETTINGS}"
    if batch.columns_version not in COLUMN_COUNTS:
        settings += ", input_format_json_compact_allow_variable_number_of_columns = 1"
    return f"INSERT INTO {table} ({names}) SETTINGS {settings} FORMAT JSONCompactEachRow"


def _column_counts(batch: EventBatch) -> tuple[int, int]:
    return COLUMN_COUNTS.get(batch.columns_version, COLUMN_COUNTS[max(COLUMN_COUNTS)])


def _order(query: LogQuery) -> str:
    if query.order_by not in ORDERS:
        raise QueryInvalid(f"order_by: must be one of {', '.join(ORDERS)}, is {query.order_by!r}")
    direction = "ASC" if query.order_by_direction == "asc" else "DESC"
    newest_first = f"created_at {direction}, id {direction}"
    if query.order_by == "created_at":
        return newest_first
    return f"{FIELDS_BY_NAME[query.order_by].expression} {direction} NULLS LAST, created_at DESC, id DESC"


def _page(query: LogQuery) -> int:
    if not 1 <= query.page <= PAGE_MAX:
        raise QueryInvalid(f"page: must be 1 to {PAGE_MAX}, is {query.page}")
    return query.page


def _per_page(query: LogQuery) -> int:
    if not 1 <= query.per_page <= PER_PAGE_MAX:
        raise QueryInvalid(f"per_page: must be 1 to {PER_PAGE_MAX}, is {query.per_page}")
    return query.per_page
