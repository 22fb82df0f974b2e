"""
Shown: a log as the management API shows it, made from the row itself.

The same names and values that the store's answers have (`store/fields.py`); a test holds the two together. It is
for rows that have not been asked back from the store.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from services.contracts.analytics.values import LogRow

NANODOLLARS = 1_000_000_000


def shown_log(row: LogRow) -> dict[str, object]:
    """The fields of the log list."""
    cached = row.cache_status in ("HIT", "COALESCED")
    return {
        "id": row.id,
        "created_at": rfc3339(row.created_at_ms),
        "provider": row.provider,
        "model": row.model,
        "model_type": row.model_type,
        "path": row.path,
        "request_type": row.request_type,
        "request_content_type": row.request_content_type,
        "response_content_type": row.response_content_type,
        "status_code": row.status_code,
        "success": row.success,
        "cached": cached,
        "step": row.step,
        "duration": row.duration_ms,
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "cost": 0 if cached else _usd(row.cost_nanodollars),
        "custom_cost": row.custom_cost,
        "metadata": metadata_of(row.metadata),
        "tokens_cache_read": row.tokens_cache_read,
        "tokens_cache_write": row.tokens_cache_write,
        "tokens_reasoning": row.tokens_reasoning,
        "usage_source": row.usage_source,
        "time_to_first_byte": row.time_to_first_byte_ms,
        "attempts": row.attempts,
        "degraded": row.degraded,
        "ended": row.ended,
        "trace_id": row.trace_id,
    }


def rfc3339(milliseconds: int) -> str:
    """`2026-01-31T12:00:00.123Z`."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def metadata_of(text: str) -> object:
    """The metadata object; an empty one where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError:
        return {}


def _usd(nanodollars: int | None) -> float | None:
    return None if nanodollars is None else nanodollars / NANODOLLARS
