"""
Analytics values: one row per finished request, its bodies apart, and the batches that carry them.

A row is written as a JSON array in the order of `LogRow`'s fields, so a batch goes into the store as it is, with
nothing parsed on the way. The order is therefore part of the contract: a new field goes at the end and raises
`COLUMNS_VERSION`. A row holds no body and no secret and is at most 500 bytes on average; hazard: everything in
it is stripped of secrets before it gets here, nothing after it looks again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

COLUMNS_VERSION = 1

Ended = Literal["done", "cut", "stalled", "client_gone", "refused"]
UsageSource = Literal["provider", "estimated", "none"]
CacheStatus = Literal["", "HIT", "MISS", "BYPASS", "COALESCED"]


class LogRow(msgspec.Struct, frozen=True, array_like=True):
    """One finished request. Empty string: not known; None: no number, never 0 by default."""

    created_at_ms: int
    """Milliseconds since the epoch at which the request's head arrived."""
    id: str
    account: str
    gateway: str
    retention_days: int
    provider: str
    model: str
    model_type: str
    """chat, completion, embedding, response, image, audio, ... or empty."""
    path: str
    """The provider path without its query."""
    method: str
    request_type: str
    """native, universal, unified, websocket."""
    request_content_type: str
    response_content_type: str
    status_code: int
    success: bool
    cache_status: CacheStatus
    step: int
    attempts: int
    duration_ms: int
    time_to_first_byte_ms: int | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cache_read: int | None
    tokens_cache_write: int | None
    tokens_reasoning: int | None
    usage_source: UsageSource
    cost_nanodollars: int | None
    """Billionths of a USD, so that a sum of costs is exact; None when the rate is unknown."""
    custom_cost: bool
    ended: Ended
    error_code: int
    """Narrows' own error code, 0 for none."""
    degraded: str
    """Names of dependencies that were down, with commas."""
    token_name: str
    """Which gateway token."""
    event_id: str
    trace_id: str
    metadata: str
    """A flat JSON object as text, or empty."""
    config_version: str
    edge: str
    bytes_in: int
    bytes_out: int


class LogBody(msgspec.Struct, frozen=True, array_like=True):
    """The payloads of one request, bounded and stripped of secrets; text only."""

    created_at_ms: int
    id: str
    account: str
    gateway: str
    retention_days: int
    request: str
    response: str
    is_request_cut: bool
    is_response_cut: bool


Columns = tuple[object, ...]
"""
A row or a body on its way to the spool: the values of `LogRow`'s or `LogBody`'s fields in their order. A run of them
that many rows share may stand there as one `msgspec.Raw`, its JSON with the commas between.
"""


class EventBatch(msgspec.Struct, frozen=True):
    """What the spool holds and one INSERT stores. `rows` and `bodies`: JSON arrays, one a line."""

    edge: str
    sequence: int
    row_count: int
    rows: bytes
    bodies: bytes
    columns_version: int = COLUMNS_VERSION
    traceparents: tuple[str, ...] = ()
    """Of the sampled requests among the rows."""


class EdgeStatus(msgspec.Struct, frozen=True):
    """What an edge says of itself once a second: the JSON of its own /status."""

    edge: str
    status: bytes


IngestItem = EventBatch | EdgeStatus


class Ack(msgspec.Struct, frozen=True):
    """The store's INSERT of this batch has returned."""

    edge: str
    sequence: int


class LogFilter(msgspec.Struct, frozen=True):
    """One condition of the log list. `operator`: eq, neq, contains, gt, lt (as Cloudflare's API)."""

    key: str
    operator: str
    value: tuple[str | int | float | bool | None, ...]


class LogQuery(msgspec.Struct, frozen=True):
    """The log list's question. Pages count from 1; `per_page` is at most 50."""

    account: str
    gateway: str
    filters: tuple[LogFilter, ...] = ()
    search: str = ""
    order_by: str = "created_at"
    order_by_direction: Literal["asc", "desc"] = "desc"
    page: int = 1
    per_page: int = 20
    with_extremes: bool = False
    """Also ask for the smallest and largest cost, duration and tokens of all that match."""


class LogPage(msgspec.Struct, frozen=True):
    """One page. `logs` are objects with the field names of the management API."""

    logs: tuple[dict[str, object], ...]
    total_count: int
    extremes: dict[str, int | float | None] = {}


class TailRequest(msgspec.Struct, frozen=True):
    """Whose rows are wanted."""

    account: str
    gateway: str


class TailRows(msgspec.Struct, frozen=True):
    """Rows of one gateway as they arrive: objects as the management API shows them, JSON, one a line."""

    rows: bytes
    dropped_count: int
    """Rows that this tail was too slow for, since it began."""


class LogReader(Protocol):
    """What can be asked about logs; the same in process and over gRPC."""

    async def query(self, query: LogQuery) -> LogPage:
        """One page of logs. Raises QueryInvalid, DependencyUnavailable."""
        ...

    def tail(self, request: TailRequest) -> AsyncGenerator[TailRows, None]:
        """Rows of one gateway from now on, until the caller stops reading."""
        ...
