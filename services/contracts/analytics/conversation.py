"""
Analytics' RPCs as data. Ingest: how its items become bytes, and what an acknowledgement settles.

Batches are replayed in order whenever the stream stands again, until they are acknowledged; the store tells a
replayed batch by its id. A status is not: the next one is a second away.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from services.contracts.analytics.codec import (
    ACKS,
    EVENTS,
    decode_page,
    decode_query,
    decode_tail_request,
    decode_tail_rows,
    encode_page,
    encode_query,
    encode_tail_request,
    encode_tail_rows,
)
from services.contracts.analytics.values import Ack, EventBatch, IngestItem, LogPage, LogQuery, TailRequest, TailRows
from services.kit.rpc.link import Conversation
from services.kit.rpc.procedure import Procedure


def batch_key(item: EventBatch | Ack) -> tuple[str, int]:
    """What a batch and its acknowledgement have in common."""
    return item.edge, item.sequence


def _settled_key(ack: Ack) -> Hashable:
    return batch_key(ack)


def _traceparents(items: Sequence[IngestItem]) -> Sequence[str]:
    return [name for item in items if isinstance(item, EventBatch) for name in item.traceparents]


INGEST: Conversation[IngestItem, Ack] = Conversation(
    dependency="analytics",
    method="/narrows.analytics.v1.Analytics/Ingest",
    outgoing=EVENTS,
    incoming=ACKS,
    answers=_settled_key,
    traceparents=_traceparents,
    replays=True,
)

QUERY: Procedure[LogQuery, LogPage] = Procedure(
    dependency="analytics",
    method="/narrows.analytics.v1.Analytics/Query",
    encode_question=encode_query,
    decode_question=decode_query,
    encode_answer=encode_page,
    decode_answer=decode_page,
)

TAIL: Procedure[TailRequest, TailRows] = Procedure(
    dependency="analytics",
    method="/narrows.analytics.v1.Analytics/Tail",
    encode_question=encode_tail_request,
    decode_question=decode_tail_request,
    encode_answer=encode_tail_rows,
    decode_answer=decode_tail_rows,
)
