"""Log rows as an edge writes them, for every test that needs some."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from services.contracts.analytics.values import EventBatch, LogBody, LogRow
from services.kit.identifiers import ulid

DAY_MS = 86_400_000
MORNING_MS = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS
"""A midnight, UTC."""

_MODELS = (
    ("openai", "gpt-5-mini", "v1/chat/completions"),
    ("openai", "gpt-5", "v1/responses"),
    ("anthropic", "claude-sonnet-5", "v1/messages"),
    ("groq", "llama-3.1-8b-instant", "openai/v1/chat/completions"),
    ("google-ai-studio", "gemini-3-flash", "v1beta/models/gemini-3-flash:generateContent"),
)


def log_row(number: int = 0, **changes: object) -> LogRow:
    """One row; the same number gives the same row, and a later one a later row."""
    chance = random.Random(number)
    provider, model, path = _MODELS[number % len(_MODELS)]
    created_at_ms = MORNING_MS + number * 7
    tokens_in, tokens_out = chance.randrange(10, 4000), chance.randrange(1, 900)
    duration_ms = chance.randrange(180, 9000)
    row = LogRow(
        created_at_ms=created_at_ms,
        id=ulid(created_at_ms, chance.getrandbits(80)),
        account="local",
        gateway="main",
        retention_days=30,
        provider=provider,
        model=model,
        model_type="chat",
        path=path,
        method="POST",
        request_type="native",
        request_content_type="application/json",
        response_content_type="text/event-stream" if number % 2 else "application/json",
        status_code=200,
        success=True,
        cache_status="BYPASS",
        step=0,
        attempts=1,
        duration_ms=duration_ms,
        time_to_first_byte_ms=chance.randrange(90, duration_ms),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cache_read=chance.choice((None, 0, 512)),
        tokens_cache_write=None,
        tokens_reasoning=chance.choice((None, 64)),
        usage_source="provider",
        cost_nanodollars=tokens_in * 250 + tokens_out * 2000,
        custom_cost=False,
        ended="done",
        error_code=0,
        degraded="",
        token_name="ci",
        event_id="",
        trace_id=f"{chance.getrandbits(128):032x}",
        metadata=f'{{"team":"search","user":"user-{chance.randrange(500)}"}}',
        config_version="5f2c9a",
        edge="edge-1",
        bytes_in=chance.randrange(300, 9000),
        bytes_out=chance.randrange(300, 9000),
    )
    return msgspec.structs.replace(row, **changes)


def log_body(row: LogRow, *, request: str = '{"model":"m"}', response: str = '{"choices":[]}') -> LogBody:
    """What was said in that row's request."""
    return LogBody(
        created_at_ms=row.created_at_ms,
        id=row.id,
        account=row.account,
        gateway=row.gateway,
        retention_days=row.retention_days,
        request=request,
        response=response,
        is_request_cut=False,
        is_response_cut=False,
    )


def event_batch(
    rows: Sequence[LogRow],
    bodies: Sequence[LogBody] = (),
    *,
    sequence: int = 1,
    edge: str = "edge-1",
) -> EventBatch:
    """A batch as the spool sends it."""
    return EventBatch(
        edge=edge,
        sequence=sequence,
        row_count=len(rows),
        rows=b"".join(msgspec.json.encode(row) + b"\n" for row in rows),
        bodies=b"".join(msgspec.json.encode(body) + b"\n" for body in bodies),
    )
