"""
Schema: the tables, how they came to be, and who ends what is in them.

`logs` holds one narrow row per request and is all that a list ever reads; `bodies` holds what was said, apart; `hourly`
holds totals that a view keeps up to date with every insert. Tables only move forward, one numbered migration after the
other; every statement can be repeated, because a process may die after any of them, and an older program must be able
to live with a newer schema while an installation is being updated.

Logs and bodies are partitioned by day and by the days they are kept, so what is past its time is dropped whole,
without reading or rewriting a row. Hazard: a table without an owner of its retention fills the disk; `RETENTION` names
one for each, and a test compares it with what the engine says there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOG_COLUMNS: tuple[tuple[str, str], ...] = (
    ("created_at", "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))"),
    ("id", "String CODEC(ZSTD(1))"),
    ("account", "LowCardinality(String)"),
    ("gateway", "LowCardinality(String)"),
    ("retention_days", "UInt16"),
    ("provider", "LowCardinality(String)"),
    ("model", "LowCardinality(String)"),
    ("model_type", "String CODEC(ZSTD(1))"),
    ("path", "String CODEC(ZSTD(1))"),
    ("method", "String CODEC(ZSTD(1))"),
    ("request_type", "String CODEC(ZSTD(1))"),
    ("request_content_type", "String CODEC(ZSTD(1))"),
    ("response_content_type", "String CODEC(ZSTD(1))"),
    ("status_code", "Int16"),
    ("success", "Bool"),
    ("cache_status", "String CODEC(ZSTD(1))"),
    ("step", "Int16"),
    ("attempts", "Int16"),
    ("duration_ms", "Int64 CODEC(ZSTD(1))"),
    ("time_to_first_byte_ms", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("tokens_in", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("tokens_out", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("tokens_cache_read", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("tokens_cache_write", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("tokens_reasoning", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("usage_source", "String CODEC(ZSTD(1))"),
    ("cost_nanodollars", "Nullable(Int64) CODEC(ZSTD(1))"),
    ("custom_cost", "Bool"),
    ("ended", "String CODEC(ZSTD(1))"),
    ("error_code", "Int16"),
    ("degraded", "String CODEC(ZSTD(1))"),
    ("token_name", "String CODEC(ZSTD(1))"),
    ("event_id", "String CODEC(ZSTD(1))"),
    ("trace_id", "String CODEC(ZSTD(1))"),
    ("metadata", "String CODEC(ZSTD(1))"),
    ("config_version", "String CODEC(ZSTD(1))"),
    ("edge", "String CODEC(ZSTD(1))"),
    ("bytes_in", "Int64 CODEC(ZSTD(1))"),
    ("bytes_out", "Int64 CODEC(ZSTD(1))"),
)
"""
The fields of LogRow in their order.

Numbers are signed: a negative one is wrong, but no reason to refuse a batch. Only what is grouped by is LowCardinality:
such a column takes three times as long to read from JSON, and a dozen more would save four bytes a row.
"""

BODY_COLUMNS: tuple[tuple[str, str], ...] = (
    ("created_at", "DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))"),
    ("id", "String CODEC(ZSTD(1))"),
    ("account", "LowCardinality(String)"),
    ("gateway", "LowCardinality(String)"),
    ("retention_days", "UInt16"),
    ("request", "String CODEC(ZSTD(3))"),
    ("response", "String CODEC(ZSTD(3))"),
    ("is_request_cut", "Bool"),
    ("is_response_cut", "Bool"),
)
"""The fields of LogBody in their order."""

COLUMN_COUNTS: dict[int, tuple[int, int]] = {1: (len(LOG_COLUMNS), len(BODY_COLUMNS))}
"""By version of the contract's columns: how many of both a batch of that version brings. New ones go at the end."""

DEDUPLICATION_WINDOW = 10_000
"""Blocks whose tokens a table remembers; without it a token does nothing. A batch is a few blocks."""

HOURLY_KEPT_DAYS = 400
"""Thirteen months: a month can be compared with the same one a year before."""

RetentionOwner = Literal["row", "hourly", "constant"]

RETENTION: dict[str, RetentionOwner] = {
    "logs": "row",
    "bodies": "row",
    "hourly": "hourly",
    "hourly_of_logs": "constant",
    "migrations": "constant",
}
"""
Who ends what is in a table. `row`: each row says for how many days it is kept. `hourly`: HOURLY_KEPT_DAYS.
`constant`: it does not grow (a view holds nothing itself; there is one row per migration).
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    statements: tuple[str, ...]


def _definition(columns: tuple[tuple[str, str], ...]) -> str:
    return ",\n  ".join(f"{name} {kind}" for name, kind in columns)


CREATE_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS migrations (version UInt32, applied_at DateTime('UTC') DEFAULT now())
ENGINE = MergeTree ORDER BY version
"""

INSERT_MIGRATION = "INSERT INTO migrations (version) FORMAT JSONCompactEachRow"

_CREATE_LOGS = f"""
CREATE TABLE IF NOT EXISTS logs (
  {_definition(LOG_COLUMNS)},
  INDEX id_index id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY (toYYYYMMDD(created_at), retention_days)
ORDER BY (account, gateway, created_at, id)
SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}
"""

_CREATE_BODIES = f"""
CREATE TABLE IF NOT EXISTS bodies (
  {_definition(BODY_COLUMNS)}
)
ENGINE = MergeTree
PARTITION BY (toYYYYMMDD(created_at), retention_days)
ORDER BY (account, gateway, id)
SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}
"""

_CREATE_HOURLY = f"""
CREATE TABLE IF NOT EXISTS hourly (
  hour DateTime('UTC'),
  account LowCardinality(String),
  gateway LowCardinality(String),
  provider LowCardinality(String),
  model LowCardinality(String),
  requests UInt64,
  errors UInt64,
  cached UInt64,
  tokens_in Int64,
  tokens_out Int64,
  cost_nanodollars Int64
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (account, gateway, hour, provider, model)
SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}
"""

_CREATE_HOURLY_OF_LOGS = """
CREATE MATERIALIZED VIEW IF NOT EXISTS hourly_of_logs TO hourly AS
SELECT
  toStartOfHour(logs.created_at) AS hour, account, gateway, provider, model,
  count() AS requests,
  countIf(NOT success) AS errors,
  countIf(cache_status IN ('HIT', 'COALESCED')) AS cached,
  sum(ifNull(logs.tokens_in, 0)) AS tokens_in,
  sum(ifNull(logs.tokens_out, 0)) AS tokens_out,
  sumIf(ifNull(logs.cost_nanodollars, 0), cache_status NOT IN ('HIT', 'COALESCED')) AS cost_nanodollars
FROM logs
GROUP BY hour, account, gateway, provider, model
"""

MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, (_CREATE_LOGS, _CREATE_BODIES, _CREATE_HOURLY, _CREATE_HOURLY_OF_LOGS)),
)
