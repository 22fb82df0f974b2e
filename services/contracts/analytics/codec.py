"""
Analytics codec: values to messages and back. The only file that knows the generated analytics messages.

A batch travels alone, because it is cut to the size of a message in the spool already. Rows and bodies are bytes
from end to end: nothing here looks into them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from narrows.analytics.v1 import analytics_pb2 as messages
from services.contracts.analytics.values import (
    Ack,
    EdgeStatus,
    EventBatch,
    IngestItem,
    LogFilter,
    LogPage,
    LogQuery,
    TailRequest,
    TailRows,
)
from services.kit.errors import QueryInvalid
from services.kit.rpc.link import Wire

_OVERHEAD_BYTES = 512
"""An instance's name is at most 192 bytes."""

_TRACEPARENT_BYTES = 64

_FilterValues = tuple[str | int | float | bool | None, ...]


def encode_events(items: Sequence[IngestItem], probe: int) -> bytes:
    """One message: a batch or a status, or a probe alone."""
    message = messages.Events(probe=probe)
    for item in items:
        if isinstance(item, EventBatch):
            _fill_batch(message.batch, item)
        else:
            message.status.edge, message.status.status = item.edge, item.status
    return message.SerializeToString()


def decode_events(encoded: bytes) -> tuple[Sequence[IngestItem], int]:
    """The batch and the status of a message, where it has them."""
    message = messages.Events.FromString(encoded)
    items: list[IngestItem] = []
    if message.HasField("batch"):
        items.append(_batch_value(message.batch))
    if message.HasField("status"):
        items.append(EdgeStatus(edge=message.status.edge, status=message.status.status))
    return items, message.probe


def encode_acks(items: Sequence[Ack], probe: int) -> bytes:
    """Acknowledgements of one message."""
    acks = [messages.Ack(edge=ack.edge, sequence=ack.sequence) for ack in items]
    return messages.Acks(acks=acks, probe=probe).SerializeToString()


def decode_acks(encoded: bytes) -> tuple[Sequence[Ack], int]:
    """Acknowledgements of one message."""
    message = messages.Acks.FromString(encoded)
    return [Ack(edge=ack.edge, sequence=ack.sequence) for ack in message.acks], message.probe


def encode_query(query: LogQuery) -> bytes:
    """The log list's question."""
    return messages.LogQuery(
        account=query.account,
        gateway=query.gateway,
        filters=[
            messages.LogFilter(key=each.key, operator=each.operator, values=msgspec.json.encode(each.value))
            for each in query.filters
        ],
        search=query.search,
        order_by=query.order_by,
        order_by_direction=query.order_by_direction,
        page=query.page,
        per_page=query.per_page,
        with_extremes=query.with_extremes,
    ).SerializeToString()


def decode_query(encoded: bytes) -> LogQuery:
    """The log list's question. Raises QueryInvalid where the bytes cannot mean one."""
    message = messages.LogQuery.FromString(encoded)
    if message.order_by_direction not in ("asc", "desc"):
        raise QueryInvalid(f"order_by_direction: must be asc or desc, is {message.order_by_direction!r}")
    return LogQuery(
        account=message.account,
        gateway=message.gateway,
        filters=tuple(_filter_value(each) for each in message.filters),
        search=message.search,
        order_by=message.order_by,
        order_by_direction="asc" if message.order_by_direction == "asc" else "desc",
        page=message.page,
        per_page=message.per_page,
        with_extremes=message.with_extremes,
    )


def encode_page(page: LogPage) -> bytes:
    """One page of logs."""
    return messages.LogPage(
        logs=msgspec.json.encode(page.logs),
        total_count=page.total_count,
        extremes=msgspec.json.encode(page.extremes) if page.extremes else b"",
    ).SerializeToString()


def decode_page(encoded: bytes) -> LogPage:
    """One page of logs."""
    message = messages.LogPage.FromString(encoded)
    return LogPage(
        logs=msgspec.json.decode(message.logs, type=tuple[dict[str, object], ...]),
        total_count=message.total_count,
        extremes=msgspec.json.decode(message.extremes, type=dict[str, int | float | None]) if message.extremes else {},
    )


def encode_tail_request(request: TailRequest) -> bytes:
    """Whose rows are wanted."""
    return messages.TailRequest(account=request.account, gateway=request.gateway).SerializeToString()


def decode_tail_request(encoded: bytes) -> TailRequest:
    """Whose rows are wanted."""
    message = messages.TailRequest.FromString(encoded)
    return TailRequest(account=message.account, gateway=message.gateway)


def encode_tail_rows(rows: TailRows) -> bytes:
    """Rows as they arrived."""
    return messages.TailRows(rows=rows.rows, dropped=rows.dropped_count).SerializeToString()


def decode_tail_rows(encoded: bytes) -> TailRows:
    """Rows as they arrived."""
    message = messages.TailRows.FromString(encoded)
    return TailRows(rows=message.rows, dropped_count=message.dropped)


def _fill_batch(message: messages.EventBatch, batch: EventBatch) -> None:
    """In place: a message put together apart would be copied, and it is a mebibyte."""
    message.edge = batch.edge
    message.sequence = batch.sequence
    message.columns_version = batch.columns_version
    message.row_count = batch.row_count
    message.rows = batch.rows
    message.bodies = batch.bodies
    message.traceparents.extend(batch.traceparents)


def _batch_value(message: messages.EventBatch) -> EventBatch:
    return EventBatch(
        edge=message.edge,
        sequence=message.sequence,
        row_count=message.row_count,
        rows=message.rows,
        bodies=message.bodies,
        columns_version=message.columns_version,
        traceparents=tuple(message.traceparents),
    )


def _filter_value(message: messages.LogFilter) -> LogFilter:
    try:
        value = msgspec.json.decode(message.values, type=_FilterValues)
    except msgspec.MsgspecError as error:
        raise QueryInvalid(f"filters[{message.key}].value: must be a JSON array of plain values") from error
    return LogFilter(key=message.key, operator=message.operator, value=value)


def _item_size_bytes(item: IngestItem) -> int:
    if isinstance(item, EventBatch):
        return len(item.rows) + len(item.bodies) + _TRACEPARENT_BYTES * len(item.traceparents) + _OVERHEAD_BYTES
    return len(item.status) + _OVERHEAD_BYTES


def _ack_size_bytes(ack: Ack) -> int:
    return 2 * len(ack.edge) + 32


EVENTS: Wire[IngestItem] = Wire(
    encode=encode_events,
    decode=decode_events,
    size_bytes=_item_size_bytes,
    items_max=1,
)

ACKS: Wire[Ack] = Wire(encode=encode_acks, decode=decode_acks, size_bytes=_ack_size_bytes)
