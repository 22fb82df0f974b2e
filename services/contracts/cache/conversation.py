"""
The cache's one RPC, as data for `kit/rpc`.

A lookup is settled by its first answer; what a joiner gets after `Join` is not waited for by the link, because
a provider may take minutes. Nothing is replayed: a request whose stream broke goes on without the cache.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from services.contracts.cache.codec import CALLS, REPLIES
from services.contracts.cache.values import (
    CacheCall,
    CacheReply,
    Fill,
    FillHead,
    FillWhole,
    Hit,
    HitPart,
    Join,
    Lookup,
    Miss,
    RunEvents,
)
from services.kit.rpc.link import Conversation

_SETTLING = (Fill, Join, Miss, RunEvents)
_TRACED = (Lookup, FillWhole, FillHead)


def settled_call(reply: CacheReply) -> Hashable | None:
    """The call whose question this reply answers; None for what comes afterwards or unasked."""
    if isinstance(reply, _SETTLING) or (isinstance(reply, Hit) and not reply.is_partial):
        return reply.call
    return reply.call if isinstance(reply, HitPart) and reply.is_last else None


def call_traceparents(calls: Sequence[CacheCall]) -> Sequence[str]:
    """The sampled requests that calls are for."""
    return [call.traceparent for call in calls if isinstance(call, _TRACED) and call.traceparent]


EXCHANGE: Conversation[CacheCall, CacheReply] = Conversation(
    dependency="cache",
    method="/narrows.cache.v1.Cache/Exchange",
    outgoing=CALLS,
    incoming=REPLIES,
    answers=settled_call,
    traceparents=call_traceparents,
)
