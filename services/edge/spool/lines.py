"""
Lines: finished requests as lines of JSON, one for a row and one for a body.

All that one write holds is encoded in one go. Almost every value encodes as it is. What cannot (half of a surrogate
pair, a number that no column holds) comes from bytes of a client or a provider, and must neither raise on the request
path nor make the store refuse the thousand rows around it: text is made readable, an impossible number unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.contracts.analytics.values import Columns
from services.edge.spool.frames import Records

BODY_BYTES_MAX = 4 * 1_048_576
"""Encoded. A message holds 8 MiB; a body beyond this is left out and marked as cut."""

Finished = tuple[Columns, Columns | None, str]
"""The row of a request, its body if it is kept, and its span's traceparent, empty where it was not sampled."""

_INTEGER_MAX = 2**63 - 1
_LEFT_OUT = ("", "", True, True)
"""The end of a `LogBody` without its payloads: both of them, and whether they are cut."""

_ENCODER = msgspec.json.Encoder()


def records_of(finished: Sequence[Finished]) -> Records:
    """What is written of these requests, at least one. Never raises."""
    rows, bodies, traceparents = zip(*finished, strict=True)
    return Records(
        rows=_lines(rows),
        bodies=_body_lines([*filter(None, bodies)]),
        traceparents="\n".join([*filter(None, traceparents), ""]).encode(errors="replace"),
    )


def ready(columns: Columns) -> msgspec.Raw:
    """A run of columns as the JSON that stands for them within a row, made once for many rows. Never raises."""
    return msgspec.Raw(_line(columns)[1:-2])


def _lines(values: Sequence[Columns]) -> bytes:
    try:
        return _ENCODER.encode_lines(values)
    except (UnicodeEncodeError, OverflowError):
        return b"".join(map(_line, values))


def _line(columns: Columns) -> bytes:
    try:
        return _ENCODER.encode(columns) + b"\n"
    except (UnicodeEncodeError, OverflowError):
        return _ENCODER.encode(tuple(map(_encodable, columns))) + b"\n"


def _body_lines(bodies: Sequence[Columns]) -> bytes:
    encoded = _lines(bodies)
    if len(encoded) <= BODY_BYTES_MAX:
        return encoded
    return b"".join(map(_body_line, bodies))


def _body_line(body: Columns) -> bytes:
    encoded = _line(body)
    return encoded if len(encoded) <= BODY_BYTES_MAX else _line((*body[: -len(_LEFT_OUT)], *_LEFT_OUT))


def _encodable(value: object) -> object:
    """Only what may be unknown can be too large: tokens, and what they cost."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    return None if isinstance(value, int) and abs(value) > _INTEGER_MAX else value
