"""
Refusals: an error of the gateway as the client's own protocol says errors.

The body has the shape of the surface that was called, so that an SDK raises its usual exception; the headers always
carry the log id and the error's code. A refusal is whole: it has a length, and the connection goes on unless the
request's body was not read to its end. When an edge refuses, it refuses many with the same words: they are remembered.
"""

from __future__ import annotations

import time
from functools import lru_cache
from math import ceil

import msgspec

from services.dialects.errors import error_body, shape_of
from services.dialects.formats import ErrorShape
from services.edge.exchange import Exchange
from services.edge.heads import connection_line
from services.edge.own_headers import refusal_headers
from services.edge.port.reply import error_lines, status_line
from services.edge.surfaces.address import AddressKind, parse_hosted, parse_target
from services.kit.errors import NarrowsError

_REMEMBERED_MAX = 256


class Words(msgspec.Struct, frozen=True):
    """What refusals for the same reason have in common: the first line, the headers behind our own, and the body."""

    start: bytes
    headers: bytes
    body: bytes


def refuse(exchange: Exchange, error: NarrowsError) -> None:
    """Write the error as the whole answer. Only before any byte of another answer."""
    shape = _shape(exchange)
    retry_after_s = ceil(error.retry_after_s) if error.retry_after_s is not None else None
    words = _words(shape, type(error), error.message, retry_after_s)  # type: ignore[arg-type]  # a class has a hash
    own = refusal_headers(exchange, time.monotonic())
    head = b"%b%b%b%b\r\n" % (words.start, own, words.headers, connection_line(exchange))
    exchange.reply.send(head if exchange.arrival.method == "HEAD" else head + words.body)


def _shape(exchange: Exchange) -> ErrorShape:
    """By where the request went: the surface, the provider's dialect and the path."""
    resolved = getattr(exchange, "resolved", None)
    if resolved is None:
        return shape_of_target(exchange.arrival.target)
    address, provider = resolved.address, resolved.provider
    return _shape_of(address.kind, provider.dialect if provider is not None else "", address.path)


@lru_cache(maxsize=_REMEMBERED_MAX)
def _words(shape: ErrorShape, kind: type[NarrowsError], message: str, retry_after_s: int | None) -> Words:
    error = kind(message, retry_after_s=retry_after_s)
    body = error_body(shape, error)
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return Words(status_line(error.http_status), error_lines(error) + framing, body)


def shape_of_target(target: str) -> ErrorShape:
    """The shape for a request that was refused before its gateway and provider were known: what its path promises."""
    is_hosted = not target.startswith("/v1/")
    try:
        address = parse_hosted(target, "", "") if is_hosted else parse_target(target)
    except NarrowsError:
        return "plain"
    return _shape_of(address.kind, "", address.path)


@lru_cache(maxsize=_REMEMBERED_MAX)
def _shape_of(kind: AddressKind, dialect: str, path: str) -> ErrorShape:
    return shape_of("native" if kind == "run" else kind, dialect, path)
