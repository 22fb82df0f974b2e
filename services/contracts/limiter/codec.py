"""
Limiter codec: lease requests and answers as the bytes of `narrows.limiter.v1`, and back.

A bucket stands once in a message however many items name it, because its text is most of what an item weighs; on
decoding, items of one bucket share one object. All requests of a message are one edge's. Hazard: items are grouped
by kind, so the order between kinds is not kept: reports come out before asks, which is the order they are
wanted in, and nothing in the protocol needs another.
"""

from __future__ import annotations

from collections.abc import Sequence

from narrows.limiter.v1 import limiter_pb2 as pb
from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    Report,
    ReportAck,
    StoreDown,
    Technique,
)
from services.kit.rpc.link import Wire

_ITEM_BYTES = 96
"""Field tags, lengths and numbers of an item and its bucket."""
_TEXT_BYTES = 4
"""Tag and length of one more text; four bytes a character is the most UTF-8 takes."""

_TECHNIQUES: dict[Technique, pb.Technique] = {"fixed": pb.TECHNIQUE_FIXED, "sliding": pb.TECHNIQUE_SLIDING}
_TECHNIQUE_NAMES: dict[int, Technique] = {number: name for name, number in _TECHNIQUES.items()}


class _Interned:
    """Buckets of one message in the order they were first named."""

    def __init__(self) -> None:
        self._indexes: dict[Bucket, int] = {}

    def index(self, bucket: Bucket) -> int:
        return self._indexes.setdefault(bucket, len(self._indexes))

    def messages(self) -> list[pb.Bucket]:
        return [_bucket_message(bucket) for bucket in self._indexes]


def encode_requests(requests: Sequence[LeaseRequest], probe: int) -> bytes:
    """One `LeaseRequests` message."""
    buckets = _Interned()
    message = pb.LeaseRequests(edge=requests[0].edge if requests else "", probe=probe)
    for request in requests:
        match request:
            case Ask():
                message.asks.append(_ask_message(request, buckets.index(request.bucket)))
            case Report():
                message.reports.append(_report_message(request, buckets.index(request.bucket)))
    message.buckets.extend(buckets.messages())
    return message.SerializeToString()


def decode_requests(encoded: bytes) -> tuple[Sequence[LeaseRequest], int]:
    """The requests of one message and its probe."""
    message = pb.LeaseRequests.FromString(encoded)
    edge, buckets = message.edge, _buckets(message.buckets)
    requests: list[LeaseRequest] = [
        Report(edge, buckets[one.bucket_index], one.sequence, one.spent, one.returned, one.is_closed, one.limit)
        for one in message.reports
    ]
    for one in message.asks:
        bucket, traceparents = buckets[one.bucket_index], tuple(one.traceparents)
        requests.append(Ask(edge, bucket, one.sequence, one.limit, one.waiting, one.ahead, traceparents))
    return requests, message.probe


def encode_answers(answers: Sequence[LeaseAnswer], probe: int) -> bytes:
    """One `LeaseGrants` message."""
    buckets = _Interned()
    message = pb.LeaseGrants(probe=probe)
    for answer in answers:
        _add_answer(message, answer, buckets.index(answer.bucket))
    message.buckets.extend(buckets.messages())
    return message.SerializeToString()


def decode_answers(encoded: bytes) -> tuple[Sequence[LeaseAnswer], int]:
    """The answers of one message and its probe."""
    message = pb.LeaseGrants.FromString(encoded)
    buckets = _buckets(message.buckets)
    answers: list[LeaseAnswer] = [_grant(one, buckets[one.bucket_index]) for one in message.grants]
    for refusal in message.refusals:
        bucket = buckets[refusal.bucket_index]
        answers.append(Refusal(bucket, refusal.sequence, refusal.retry_after_ms, refusal.reset_ms, refusal.edges))
    answers.extend(Closed(buckets[one.bucket_index], one.sequence) for one in message.closed)
    for ack in message.acks:
        answers.append(ReportAck(buckets[ack.bucket_index], ack.sequence, ack.spent, ack.returned, ack.is_closed))
    for down in message.store_down:
        answers.append(StoreDown(buckets[down.bucket_index], down.sequence, down.error_code, down.message))
    return answers, message.probe


def request_size_bytes(request: LeaseRequest) -> int:
    """About how many bytes the request takes in a message; never below what it does take."""
    size_bytes = _ITEM_BYTES + _bucket_size(request.bucket) + _text_size(request.edge)
    if isinstance(request, Ask):
        size_bytes += sum(map(_text_size, request.traceparents))
    return size_bytes


def answer_size_bytes(answer: LeaseAnswer) -> int:
    """About how many bytes the answer takes in a message; never below what it does take."""
    extra_bytes = _text_size(answer.message) if isinstance(answer, StoreDown) else 0
    return _ITEM_BYTES + _bucket_size(answer.bucket) + extra_bytes


def _add_answer(message: pb.LeaseGrants, answer: LeaseAnswer, bucket_index: int) -> None:
    sequence = answer.sequence
    match answer:
        case Grant():
            message.grants.append(_grant_message(answer, bucket_index))
        case Refusal(retry_after_ms=retry_after_ms, reset_ms=reset_ms, edges=edges):
            message.refusals.add(
                bucket_index=bucket_index,
                sequence=sequence,
                retry_after_ms=retry_after_ms,
                reset_ms=reset_ms,
                edges=edges,
            )
        case Closed():
            message.closed.add(bucket_index=bucket_index, sequence=sequence)
        case ReportAck(spent=spent, returned=returned, is_closed=is_closed):
            message.acks.add(
                bucket_index=bucket_index, sequence=sequence, spent=spent, returned=returned, is_closed=is_closed
            )
        case StoreDown(error_code=code, message=text):
            message.store_down.add(bucket_index=bucket_index, sequence=sequence, error_code=code, message=text)


def _ask_message(ask: Ask, bucket_index: int) -> pb.Ask:
    return pb.Ask(
        bucket_index=bucket_index,
        sequence=ask.sequence,
        limit=ask.limit,
        waiting=ask.waiting,
        ahead=ask.ahead,
        traceparents=ask.traceparents,
    )


def _report_message(report: Report, bucket_index: int) -> pb.Report:
    return pb.Report(
        bucket_index=bucket_index,
        sequence=report.sequence,
        spent=report.spent,
        returned=report.returned,
        is_closed=report.is_closed,
        limit=report.limit,
    )


def _grant_message(grant: Grant, bucket_index: int) -> pb.Grant:
    return pb.Grant(
        bucket_index=bucket_index,
        sequence=grant.sequence,
        units=grant.units,
        valid_ms=grant.valid_ms,
        remaining=grant.remaining,
        reset_ms=grant.reset_ms,
        edges=grant.edges,
    )


def _grant(grant: pb.Grant, bucket: Bucket) -> Grant:
    return Grant(bucket, grant.sequence, grant.units, grant.valid_ms, grant.remaining, grant.reset_ms, grant.edges)


def _bucket_message(bucket: Bucket) -> pb.Bucket:
    return pb.Bucket(
        account=bucket.account,
        gateway=bucket.gateway,
        limit_name=bucket.limit_name,
        technique=_TECHNIQUES[bucket.technique],
        window_s=bucket.window_s,
        key_values=bucket.key_values,
    )


def _buckets(messages: Sequence[pb.Bucket]) -> list[Bucket]:
    return [
        Bucket(
            one.account,
            one.gateway,
            one.limit_name,
            _TECHNIQUE_NAMES[one.technique],
            one.window_s,
            tuple(one.key_values),
        )
        for one in messages
    ]


def _bucket_size(bucket: Bucket) -> int:
    named = _text_size(bucket.account) + _text_size(bucket.gateway) + _text_size(bucket.limit_name)
    return named + sum(map(_text_size, bucket.key_values))


def _text_size(text: str) -> int:
    return _TEXT_BYTES + 4 * len(text)


REQUESTS: Wire[LeaseRequest] = Wire(encode_requests, decode_requests, request_size_bytes)
ANSWERS: Wire[LeaseAnswer] = Wire(encode_answers, decode_answers, answer_size_bytes)
