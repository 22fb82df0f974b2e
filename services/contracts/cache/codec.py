"""
Cache codec: calls and replies as the bytes of `narrows.cache.v1`, and back.

One function a kind in each direction, found by the value's class or the message's field; nothing is judged here.
Hazard: `size_bytes` decides where a message is cut, so it must never guess below the real size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from narrows.cache.v1 import cache_pb2 as pb
from services.contracts.cache.values import (
    AppendRun,
    CacheCall,
    CacheReply,
    Fill,
    FillChunks,
    FillEnd,
    FillHead,
    FillWhole,
    HeaderPairs,
    Hit,
    HitPart,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Leave,
    Lookup,
    Miss,
    Outcome,
    ReadRun,
    RunEvents,
    Watched,
)
from services.kit.rpc.link import Wire

Value = TypeVar("Value")

_ITEM_BYTES = 64
"""Field tags, lengths and numbers of the largest fixed part of an item."""
_ENTRY_BYTES = 12
"""The same for one element of a repeated field."""

_OUTCOMES: dict[Outcome, pb.FillOutcome] = {
    "whole": pb.FILL_OUTCOME_WHOLE,
    "uncacheable": pb.FILL_OUTCOME_UNCACHEABLE,
    "failed": pb.FILL_OUTCOME_FAILED,
}
_OUTCOME_NAMES: dict[int, Outcome] = {number: name for name, number in _OUTCOMES.items()}


def encode_calls(calls: Sequence[CacheCall], probe: int) -> bytes:
    """One `Calls` message."""
    return pb.Calls(calls=[_ENCODERS[type(call)](call) for call in calls], probe=probe).SerializeToString()


def decode_calls(message: bytes) -> tuple[Sequence[CacheCall], int]:
    """The calls of one message and its probe; kinds this version does not know are left out."""
    calls = pb.Calls.FromString(message)
    return _decode_each(calls.calls, "call", _CALL_DECODERS), calls.probe


def encode_replies(replies: Sequence[CacheReply], probe: int) -> bytes:
    """One `Replies` message."""
    return pb.Replies(replies=[_ENCODERS[type(reply)](reply) for reply in replies], probe=probe).SerializeToString()


def decode_replies(message: bytes) -> tuple[Sequence[CacheReply], int]:
    """The replies of one message and its probe; kinds this version does not know are left out."""
    replies = pb.Replies.FromString(message)
    return _decode_each(replies.replies, "reply", _REPLY_DECODERS), replies.probe


def call_size_bytes(call: CacheCall) -> int:
    """About how many bytes the call takes in a message; never below what it does take."""
    match call:
        case FillChunks():
            return _ITEM_BYTES + _chunks_size(call.chunks)
        case Lookup():
            return _ITEM_BYTES + len(call.key) + _text_size(call.traceparent)
        case FillWhole():
            head = _headers_size(call.headers) + _text_size(call.facts) + _text_size(call.traceparent)
            return _ITEM_BYTES + head + _chunks_size(call.chunks)
        case FillHead():
            return _ITEM_BYTES + _headers_size(call.headers) + _text_size(call.facts) + _text_size(call.traceparent)
        case FillEnd():
            return _ITEM_BYTES + _text_size(call.facts)
        case AppendRun():
            return _ITEM_BYTES + _chunks_size(call.events) + _text_size(call.run)
        case ReadRun():
            return _ITEM_BYTES + _text_size(call.run)
        case Leave():
            return _ITEM_BYTES


def reply_size_bytes(reply: CacheReply) -> int:
    """About how many bytes the reply takes in a message; never below what it does take."""
    match reply:
        case JoinChunk():
            return _ITEM_BYTES + len(reply.chunk) + _ENTRY_BYTES * len(reply.calls)
        case Hit():
            chunks = _chunks_size(reply.chunks)
            return _ITEM_BYTES + _headers_size(reply.headers) + chunks + _text_size(reply.facts)
        case HitPart():
            return _ITEM_BYTES + _chunks_size(reply.chunks)
        case JoinHead():
            calls = _ENTRY_BYTES * len(reply.calls)
            return _ITEM_BYTES + calls + _headers_size(reply.headers) + _text_size(reply.facts)
        case JoinEnd():
            return _ITEM_BYTES + _ENTRY_BYTES * len(reply.calls) + _text_size(reply.facts)
        case RunEvents():
            return _ITEM_BYTES + _chunks_size(reply.events)
        case Fill() | Join() | Miss() | Watched():
            return _ITEM_BYTES


def _chunks_size(chunks: tuple[bytes, ...]) -> int:
    return sum(map(len, chunks)) + _ENTRY_BYTES * len(chunks)


def _headers_size(headers: HeaderPairs) -> int:
    return 3 * _ENTRY_BYTES * len(headers) + sum(map(len, chain.from_iterable(headers)))


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


def _headers(pairs: HeaderPairs) -> list[pb.Header]:
    return [pb.Header(name=name, value=value) for name, value in pairs]


def _pairs(headers: Iterable[pb.Header]) -> HeaderPairs:
    return tuple([(header.name, header.value) for header in headers])


def _outcome(number: int) -> Outcome:
    """An outcome this version does not know is no whole answer."""
    return _OUTCOME_NAMES.get(number, "failed")


def _decode_each(envelopes: Iterable[Any], field: str, decoders: dict[str, Callable[[Any], Value]]) -> list[Value]:
    values: list[Value] = []
    for envelope in envelopes:
        kind = envelope.WhichOneof(field)
        if kind is not None:
            values.append(decoders[kind](getattr(envelope, kind)))
    return values


def _encode_lookup(call: Lookup) -> pb.Call:
    lookup = pb.Lookup(call=call.call, key=call.key, entry_bytes_max=call.entry_bytes_max, traceparent=call.traceparent)
    return pb.Call(lookup=lookup)


def _decode_lookup(lookup: pb.Lookup) -> Lookup:
    return Lookup(lookup.call, lookup.key, lookup.entry_bytes_max, lookup.traceparent)


def _encode_fill_head(call: FillHead) -> pb.Call:
    head = pb.FillHead(
        call=call.call,
        status=call.status,
        headers=_headers(call.headers),
        ttl_s=call.ttl_s,
        facts=call.facts,
        traceparent=call.traceparent,
    )
    return pb.Call(fill_head=head)


def _decode_fill_head(head: pb.FillHead) -> FillHead:
    return FillHead(head.call, head.status, _pairs(head.headers), head.ttl_s, head.facts, head.traceparent)


def _encode_fill_end(call: FillEnd) -> pb.Call:
    return pb.Call(fill_end=pb.FillEnd(call=call.call, outcome=_OUTCOMES[call.outcome], facts=call.facts))


def _decode_fill_end(end: pb.FillEnd) -> FillEnd:
    return FillEnd(end.call, _outcome(end.outcome), end.facts)


def _encode_fill_whole(call: FillWhole) -> pb.Call:
    whole = pb.FillWhole(
        call=call.call,
        status=call.status,
        headers=[octets for pair in call.headers for octets in pair],
        chunks=call.chunks,
        ttl_s=call.ttl_s,
        facts=call.facts,
        traceparent=call.traceparent,
    )
    return pb.Call(fill_whole=whole)


def _decode_fill_whole(whole: pb.FillWhole) -> FillWhole:
    octets = whole.headers
    headers = tuple(zip(octets[::2], octets[1::2], strict=True))
    chunks = tuple(whole.chunks)
    return FillWhole(whole.call, whole.status, headers, chunks, whole.ttl_s, whole.facts, whole.traceparent)


def _encode_append_run(call: AppendRun) -> pb.Call:
    append = pb.AppendRun(
        call=call.call, run=call.run, first_index=call.first_index, events=call.events, is_end=call.is_end
    )
    return pb.Call(append_run=append)


def _decode_append_run(append: pb.AppendRun) -> AppendRun:
    return AppendRun(append.call, append.run, append.first_index, tuple(append.events), append.is_end)


def _encode_hit(reply: Hit) -> pb.Reply:
    hit = pb.Hit(
        call=reply.call,
        status=reply.status,
        headers=_headers(reply.headers),
        chunks=reply.chunks,
        facts=reply.facts,
        ttl_left_s=reply.ttl_left_s,
        is_partial=reply.is_partial,
    )
    return pb.Reply(hit=hit)


def _decode_hit(hit: pb.Hit) -> Hit:
    return Hit(
        call=hit.call,
        status=hit.status,
        headers=_pairs(hit.headers),
        chunks=tuple(hit.chunks),
        facts=hit.facts,
        ttl_left_s=hit.ttl_left_s,
        is_partial=hit.is_partial,
    )


def _encode_join_head(reply: JoinHead) -> pb.Reply:
    head = pb.JoinHead(calls=reply.calls, status=reply.status, headers=_headers(reply.headers), facts=reply.facts)
    return pb.Reply(join_head=head)


def _decode_join_head(head: pb.JoinHead) -> JoinHead:
    return JoinHead(tuple(head.calls), head.status, _pairs(head.headers), head.facts)


def _encode_join_end(reply: JoinEnd) -> pb.Reply:
    return pb.Reply(join_end=pb.JoinEnd(calls=reply.calls, outcome=_OUTCOMES[reply.outcome], facts=reply.facts))


def _decode_join_end(end: pb.JoinEnd) -> JoinEnd:
    return JoinEnd(tuple(end.calls), _outcome(end.outcome), end.facts)


def _encode_run_events(reply: RunEvents) -> pb.Reply:
    events = pb.RunEvents(
        call=reply.call,
        first_index=reply.first_index,
        events=reply.events,
        is_end=reply.is_end,
        is_unknown=reply.is_unknown,
    )
    return pb.Reply(run_events=events)


def _decode_run_events(events: pb.RunEvents) -> RunEvents:
    return RunEvents(events.call, events.first_index, tuple(events.events), events.is_end, events.is_unknown)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    Lookup: _encode_lookup,
    FillHead: _encode_fill_head,
    FillChunks: lambda call: pb.Call(fill_chunks=pb.FillChunks(call=call.call, chunks=call.chunks)),
    FillEnd: _encode_fill_end,
    FillWhole: _encode_fill_whole,
    Leave: lambda call: pb.Call(leave=pb.Leave(call=call.call)),
    AppendRun: _encode_append_run,
    ReadRun: lambda call: pb.Call(read_run=pb.ReadRun(call=call.call, run=call.run, first_index=call.first_index)),
    Hit: _encode_hit,
    HitPart: lambda part: pb.Reply(hit_part=pb.HitPart(call=part.call, chunks=part.chunks, is_last=part.is_last)),
    Fill: lambda fill: pb.Reply(fill=pb.Fill(call=fill.call, is_degraded=fill.is_degraded)),
    Join: lambda join: pb.Reply(join=pb.Join(call=join.call, is_degraded=join.is_degraded)),
    Watched: lambda told: pb.Reply(watched=pb.Watched(call=told.call, is_watched=told.is_watched)),
    JoinHead: _encode_join_head,
    JoinChunk: lambda reply: pb.Reply(join_chunk=pb.JoinChunk(calls=reply.calls, chunk=reply.chunk)),
    JoinEnd: _encode_join_end,
    Miss: lambda miss: pb.Reply(miss=pb.Miss(call=miss.call, is_degraded=miss.is_degraded)),
    RunEvents: _encode_run_events,
}

_CALL_DECODERS: dict[str, Callable[[Any], CacheCall]] = {
    "lookup": _decode_lookup,
    "fill_head": _decode_fill_head,
    "fill_chunk": lambda chunk: FillChunks(chunk.call, (chunk.chunk,)),
    "fill_chunks": lambda chunks: FillChunks(chunks.call, tuple(chunks.chunks)),
    "fill_end": _decode_fill_end,
    "fill_whole": _decode_fill_whole,
    "leave": lambda leave: Leave(leave.call),
    "append_run": _decode_append_run,
    "read_run": lambda read: ReadRun(read.call, read.run, read.first_index),
}

_REPLY_DECODERS: dict[str, Callable[[Any], CacheReply]] = {
    "hit": _decode_hit,
    "hit_part": lambda part: HitPart(part.call, tuple(part.chunks), part.is_last),
    "fill": lambda fill: Fill(fill.call, fill.is_degraded),
    "join": lambda join: Join(join.call, join.is_degraded),
    "watched": lambda told: Watched(told.call, told.is_watched),
    "join_head": _decode_join_head,
    "join_chunk": lambda reply: JoinChunk(tuple(reply.calls), reply.chunk),
    "join_end": _decode_join_end,
    "miss": lambda miss: Miss(miss.call, miss.is_degraded),
    "run_events": _decode_run_events,
}

CALLS: Wire[CacheCall] = Wire(encode=encode_calls, decode=decode_calls, size_bytes=call_size_bytes)
REPLIES: Wire[CacheReply] = Wire(encode=encode_replies, decode=decode_replies, size_bytes=reply_size_bytes)
