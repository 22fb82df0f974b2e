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


def settled_call(reply: CacheReply) -> Hashable | None:
    """The call whose question this reply answers; None for what comes afterwards or unasked."""
    match reply:
        case Fill() | Join() | Miss() | RunEvents():
            return reply.call
        case Hit(is_partial=False) | HitPart(is_last=True):
            return reply.call
        case _:
            return None


def call_traceparents(call: CacheCall) -> Sequence[str]:
    """The sampled request that a call is for."""
    match call:
        case Lookup() | FillHead() | FillWhole():
            return (call.traceparent,) if call.traceparent else ()
        case _:
            return ()


EXCHANGE: Conversation[CacheCall, CacheReply] = Conversation(
    dependency="cache",
    method="/narrows.cache.v1.Cache/Exchange",
    outgoing=CALLS,
    incoming=REPLIES,
    answers=settled_call,
    traceparents=call_traceparents,
)
