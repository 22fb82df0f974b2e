"""
Lines: a log row or a body as one line of JSON.

Almost every value encodes as it is. What cannot (half of a surrogate pair, a number that no column holds) comes from
bytes of a client or a provider, and must neither raise on the request path nor make the store refuse the thousand
rows around it: text is made readable, an impossible number unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from services.contracts.analytics.values import LogBody, LogRow
from services.edge.spool.batches import Lines

BODY_BYTES_MAX = 4 * 1_048_576
"""Encoded. A message holds 8 MiB; a body beyond this is left out and marked as cut."""

_INTEGER_MAX = 2**63 - 1
_Value = TypeVar("_Value", LogRow, LogBody)
_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


def encode_lines(row: LogRow, body: LogBody | None, traceparent: str) -> Lines:
    """What is written of one finished request. Never raises."""
    return Lines(
        row=_encoded(row),
        body=b"" if body is None else _encoded_body(body),
        traceparent=traceparent.encode(errors="replace"),
    )


def _encoded(value: _Value) -> bytes:
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError):
        return _encode(_encodable(value))


def _encoded_body(body: LogBody) -> bytes:
    encoded = _encoded(body)
    if len(encoded) <= BODY_BYTES_MAX:
        return encoded
    cut = msgspec.structs.replace(body, request="", response="", is_request_cut=True, is_response_cut=True)
    return _encoded(cut)


def _encodable(value: _Value) -> _Value:
    changes: dict[str, str | int | None] = {}
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        if isinstance(held, str):
            changes[field.name] = held.encode(errors="replace").decode()
        elif isinstance(held, int) and abs(held) > _INTEGER_MAX:
            changes[field.name] = 0 if field.type is int else None
    return msgspec.structs.replace(value, **changes)
