"""
The limiter's one RPC, as data for `kit/rpc`.

A lease's requests and answers share one key, its bucket and sequence: an ask is settled by whatever the limiter says
to it, a report by its acknowledgement. Nothing is replayed by the stream: the edge repeats asks and reports itself,
with the same sequence and newer totals, on any replica.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from services.contracts.limiter.codec import ANSWERS, REQUESTS
from services.contracts.limiter.values import Ask, LeaseAnswer, LeaseRequest
from services.kit.rpc.link import Conversation


def lease_key(item: LeaseRequest | LeaseAnswer) -> Hashable:
    """What an item is about."""
    return item.bucket, item.sequence


def ask_traceparents(requests: Sequence[LeaseRequest]) -> Sequence[str]:
    """The sampled requests that wait for these asks."""
    return [name for request in requests if isinstance(request, Ask) for name in request.traceparents]


LEASE: Conversation[LeaseRequest, LeaseAnswer] = Conversation(
    dependency="limiter",
    method="/narrows.limiter.v1.Limiter/Lease",
    outgoing=REQUESTS,
    incoming=ANSWERS,
    answers=lease_key,
    traceparents=ask_traceparents,
)
