"""
Refusals: an error of the gateway as the client's own protocol says errors.

The body has the shape of the surface that was called, so that an SDK raises its usual exception; the headers always
carry the log id and the error's code. A refusal is whole: it has a length, and the connection goes on unless the
request's body was not read to its end.
"""

from __future__ import annotations

import time

from services.dialects.errors import error_body, shape_of
from services.dialects.formats import ErrorShape
from services.edge.exchange import Exchange
from services.edge.heads import answer_head, connection_line
from services.edge.own_headers import refusal_headers
from services.edge.port.reply import error_lines
from services.edge.surfaces.address import Address, parse_hosted, parse_target
from services.kit.errors import NarrowsError


def refuse(exchange: Exchange, error: NarrowsError) -> None:
    """Write the error as the whole answer. Only before any byte of another answer."""
    reply, arrival = exchange.reply, exchange.arrival
    body = error_body(_shape(exchange), error)
    own = refusal_headers(exchange, time.monotonic()) + error_lines(error)
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) + connection_line(exchange)
    head = answer_head(error.http_status, b"", (), own=own, framing=framing)
    reply.send(head if arrival.method == "HEAD" else head + body)


def _shape(exchange: Exchange) -> ErrorShape:
    """By where the request went: the surface, the provider's dialect and the path."""
    if not exchange.has("resolved"):
        return shape_of_target(exchange.arrival.target)
    resolved = exchange.resolved
    return _shape_of(resolved.address, resolved.provider.dialect if resolved.provider is not None else "")


def shape_of_target(target: str) -> ErrorShape:
    """The shape for a request that was refused before its gateway and provider were known: what its path promises."""
    is_hosted = not target.startswith("/v1/")
    try:
        address = parse_hosted(target, "", "") if is_hosted else parse_target(target)
    except NarrowsError:
        return "plain"
    return _shape_of(address, "")


def _shape_of(address: Address, dialect: str) -> ErrorShape:
    return shape_of("native" if address.kind == "run" else address.kind, dialect, address.path)
