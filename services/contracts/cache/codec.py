"""
Cache codec: calls and replies as the bytes of `narrows.cache.v1`, and back.

Values and messages name their fields alike, so most values become the fields of their message as they are. The message
is made of all of them at once, in place, because one that is made of messages copies each. Nothing is judged here.
Hazard: `size_bytes` decides where a message is cut, so it must never guess below the real size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from msgspec.structs import asdict

from narrows.cache.v1 import cache_pb2 as pb
from services.contracts.cache.values import (
    KEY_BYTES,
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
_LETTER_BYTES = 4
"""What UTF-8 takes at most for one."""

UNTRACED_LOOKUP_BYTES = _ITEM_BYTES + KEY_BYTES
"""What a look-up takes at most that belongs to no sampled request."""

_OUTCOMES: dict[Outcome, pb.FillOutcome] = {
    "whole": pb.FILL_OUTCOME_WHOLE,
    "uncacheable": pb.FILL_OUTCOME_UNCACHEABLE,
    "failed": pb.FILL_OUTCOME_FAILED,
}
_OUTCOME_NAMES: dict[int, Outcome] = {number: name for name, number in _OUTCOMES.items()}


def encode_calls(calls: Sequence[CacheCall], probe: int) -> bytes:
    """One `Calls` message."""
    fields = [{_NAMES[kind := type(call)]: _FIELDS[kind](call)} for call in calls]
    return pb.Calls(calls=fields, probe=probe).SerializeToString()


def decode_calls(message: bytes) -> tuple[Sequence[CacheCall], int]:
    """The calls of one message and its probe; kinds this version does not know are left out."""
    calls = pb.Calls.FromString(message)
    return _decode_each(calls.calls, "call", _CALL_DECODERS), calls.probe


def encode_replies(replies: Sequence[CacheReply], probe: int) -> bytes:
    """One `Replies` message."""
    fields = [{_NAMES[kind := type(reply)]: _FIELDS[kind](reply)} for reply in replies]
    return pb.Replies(replies=fields, probe=probe).SerializeToString()


def decode_replies(message: bytes) -> tuple[Sequence[CacheReply], int]:
    """The replies of one message and its probe; kinds this version does not know are left out."""
    replies = pb.Replies.FromString(message)
    return _decode_each(replies.replies, "reply", _REPLY_DECODERS), replies.probe


def call_size_bytes(call: CacheCall) -> int:
    """About how many bytes the call takes in a message; never below what it does take."""
    match call:
        case FillChunks():
            return _ITEM_BYTES + _ENTRY_BYTES * len(call.chunks) + sum(map(len, call.chunks))
        case Lookup():
            return UNTRACED_LOOKUP_BYTES + _LETTER_BYTES * len(call.traceparent)
        case FillWhole():
            return whole_size_bytes(call)
        case FillHead():
            texts_bytes = _LETTER_BYTES * (len(call.facts) + len(call.traceparent))
            return _ITEM_BYTES + texts_bytes + _headers_size(call.headers)
        case FillEnd():
            return _ITEM_BYTES + _LETTER_BYTES * len(call.facts)
        case AppendRun():
            return _ITEM_BYTES + _LETTER_BYTES * len(call.run) + _chunks_size(call.events)
        case ReadRun():
            return _ITEM_BYTES + _LETTER_BYTES * len(call.run)
        case Leave():
            return _ITEM_BYTES


def whole_size_bytes(whole: FillWhole) -> int:
    """As `call_size_bytes`."""
    entries = (*whole.chunks, *chain.from_iterable(whole.headers))
    texts_bytes = _LETTER_BYTES * (len(whole.facts) + len(whole.traceparent))
    return _ITEM_BYTES + texts_bytes + _ENTRY_BYTES * len(entries) + sum(map(len, entries))


def reply_size_bytes(reply: CacheReply) -> int:
    """About how many bytes the reply takes in a message; never below what it does take."""
    match reply:
        case Fill() | Join() | Miss() | Watched():
            return _ITEM_BYTES
        case JoinChunk():
            return _ITEM_BYTES + len(reply.chunk) + _ENTRY_BYTES * len(reply.calls)
        case Hit():
            texts_bytes = _LETTER_BYTES * len(reply.facts)
            return _ITEM_BYTES + texts_bytes + _headers_size(reply.headers) + _chunks_size(reply.chunks)
        case HitPart():
            return _ITEM_BYTES + _chunks_size(reply.chunks)
        case JoinHead():
            fixed_bytes = _ITEM_BYTES + _ENTRY_BYTES * len(reply.calls) + _LETTER_BYTES * len(reply.facts)
            return fixed_bytes + _headers_size(reply.headers)
        case JoinEnd():
            return _ITEM_BYTES + _ENTRY_BYTES * len(reply.calls) + _LETTER_BYTES * len(reply.facts)
        case RunEvents():
            return _ITEM_BYTES + _chunks_size(reply.events)


def _chunks_size(chunks: tuple[bytes, ...]) -> int:
    return sum(map(len, chunks)) + _ENTRY_BYTES * len(chunks)


def _headers_size(headers: HeaderPairs) -> int:
    return 3 * _ENTRY_BYTES * len(headers) + sum(map(len, chain.from_iterable(headers)))


def _with_headers(value: FillHead | Hit | JoinHead) -> dict[str, Any]:
    headers = [{"name": name, "value": header} for name, header in value.headers]
    return {**asdict(value), "headers": headers}


def _with_headers_in_turn(call: FillWhole) -> dict[str, Any]:
    fields = asdict(call)
    fields["headers"] = [*chain.from_iterable(call.headers)]
    return fields


def _with_outcome(value: FillEnd | JoinEnd) -> dict[str, Any]:
    return {**asdict(value), "outcome": _OUTCOMES[value.outcome]}


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


def _decode_lookup(lookup: pb.Lookup) -> Lookup:
    return Lookup(lookup.call, lookup.key, lookup.entry_bytes_max, lookup.traceparent)


def _decode_fill_head(head: pb.FillHead) -> FillHead:
    return FillHead(head.call, head.status, _pairs(head.headers), head.ttl_s, head.facts, head.traceparent)


def _decode_fill_end(end: pb.FillEnd) -> FillEnd:
    return FillEnd(end.call, _outcome(end.outcome), end.facts)


def _decode_fill_whole(whole: pb.FillWhole) -> FillWhole:
    octets = whole.headers[:]
    headers = tuple(zip(octets[::2], octets[1::2], strict=True))
    chunks = tuple(whole.chunks)
    return FillWhole(whole.call, whole.status, headers, chunks, whole.ttl_s, whole.facts, whole.traceparent)


def _decode_append_run(append: pb.AppendRun) -> AppendRun:
    return AppendRun(append.call, append.run, append.first_index, tuple(append.events), append.is_end)


def _decode_hit(hit: pb.Hit) -> Hit:
    headers, chunks = _pairs(hit.headers), tuple(hit.chunks)
    return Hit(hit.call, hit.status, headers, chunks, hit.facts, hit.ttl_left_s, hit.is_partial)


def _decode_join_head(head: pb.JoinHead) -> JoinHead:
    return JoinHead(tuple(head.calls), head.status, _pairs(head.headers), head.facts)


def _decode_join_end(end: pb.JoinEnd) -> JoinEnd:
    return JoinEnd(tuple(end.calls), _outcome(end.outcome), end.facts)


def _decode_run_events(events: pb.RunEvents) -> RunEvents:
    return RunEvents(events.call, events.first_index, tuple(events.events), events.is_end, events.is_unknown)


_NAMES: dict[type, str] = {
    Lookup: "lookup",
    FillHead: "fill_head",
    FillChunks: "fill_chunks",
    FillEnd: "fill_end",
    FillWhole: "fill_whole",
    Leave: "leave",
    AppendRun: "append_run",
    ReadRun: "read_run",
    Hit: "hit",
    HitPart: "hit_part",
    Fill: "fill",
    Join: "join",
    Watched: "watched",
    JoinHead: "join_head",
    JoinChunk: "join_chunk",
    JoinEnd: "join_end",
    Miss: "miss",
    RunEvents: "run_events",
}
"""A kind's field in the message that holds one of them."""

_FIELDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    **dict.fromkeys(_NAMES, asdict),
    FillHead: _with_headers,
    FillEnd: _with_outcome,
    FillWhole: _with_headers_in_turn,
    Hit: _with_headers,
    JoinHead: _with_headers,
    JoinEnd: _with_outcome,
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
