"""
Fields: what a log is called outside, and where in the tables it comes from.

One table of names, SQL expressions and kinds. The log list shows, filters and orders by it, so a name that
is not here cannot reach a statement. Expressions hold no user's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FieldKind = Literal["text", "number", "flag", "time", "object"]

IS_CACHED = "cache_status IN ('HIT', 'COALESCED')"


@dataclass(frozen=True, slots=True)
class LogField:
    """One field of the management API. `is_listed`: also in the list, not only in a single log."""

    name: str
    expression: str
    kind: FieldKind
    is_listed: bool = True


FIELDS: tuple[LogField, ...] = (
    LogField("id", "id", "text"),
    LogField("created_at", "created_at", "time"),
    LogField("provider", "provider", "text"),
    LogField("model", "model", "text"),
    LogField("model_type", "model_type", "text"),
    LogField("path", "path", "text"),
    LogField("request_type", "request_type", "text"),
    LogField("request_content_type", "request_content_type", "text"),
    LogField("response_content_type", "response_content_type", "text"),
    LogField("status_code", "status_code", "number"),
    LogField("success", "success", "flag"),
    LogField("cached", f"({IS_CACHED})", "flag"),
    LogField("step", "step", "number"),
    LogField("duration", "duration_ms", "number"),
    LogField("tokens_in", "tokens_in", "number"),
    LogField("tokens_out", "tokens_out", "number"),
    LogField("cost", f"if({IS_CACHED}, 0, cost_nanodollars / 1000000000)", "number"),
    LogField("custom_cost", "custom_cost", "flag"),
    LogField("metadata", "metadata", "object"),
    LogField("tokens_cache_read", "tokens_cache_read", "number"),
    LogField("tokens_cache_write", "tokens_cache_write", "number"),
    LogField("tokens_reasoning", "tokens_reasoning", "number"),
    LogField("usage_source", "usage_source", "text"),
    LogField("time_to_first_byte", "time_to_first_byte_ms", "number"),
    LogField("attempts", "attempts", "number"),
    LogField("degraded", "degraded", "text"),
    LogField("ended", "ended", "text"),
    LogField("trace_id", "trace_id", "text"),
    LogField("event_id", "event_id", "text", is_listed=False),
    LogField("method", "method", "text", is_listed=False),
    LogField("cache_status", "cache_status", "text", is_listed=False),
    LogField("error_code", "error_code", "number", is_listed=False),
    LogField("token_name", "token_name", "text", is_listed=False),
    LogField("config_version", "config_version", "text", is_listed=False),
    LogField("edge", "edge", "text", is_listed=False),
    LogField("bytes_in", "bytes_in", "number", is_listed=False),
    LogField("bytes_out", "bytes_out", "number", is_listed=False),
)

FIELDS_BY_NAME: dict[str, LogField] = {field.name: field for field in FIELDS}
LISTED: tuple[LogField, ...] = tuple(field for field in FIELDS if field.is_listed)

ORDERS: tuple[str, ...] = (
    "created_at",
    "provider",
    "model",
    "status_code",
    "cached",
    "cost",
    "tokens_in",
    "tokens_out",
    "duration",
)

SEARCHED: tuple[str, ...] = ("id", "provider", "model", "path", "metadata", "event_id", "trace_id")
"""Columns a search looks into. Never bodies."""

METADATA_PREFIX = "metadata."
OPERATORS: tuple[str, ...] = ("eq", "neq", "contains", "gt", "lt")
