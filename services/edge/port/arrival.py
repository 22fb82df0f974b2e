"""
Arrival: one request as it came in, before anybody has judged it.

aiohttp's own request class parses the URL, keeps peer names and caches on each request; a gateway wants the
octets: method, raw target, raw headers, the payload stream, and the connection to answer on. What follows from the
head alone is worked out when it is parsed; a request whose head comes again is a copy with a body of its own. The
underscored methods are what aiohttp calls of the request under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from aiohttp import HttpVersion10, StreamReader
from aiohttp.http import RawRequestMessage

from services.edge.headers import traceparent_of

if TYPE_CHECKING:
    from services.edge.port.connection import Connection
    from services.edge.port.head import Head


class Arrival(msgspec.Struct, eq=False):
    """
    One request. `target` is the request line's, octet for octet (undecodable octets as surrogates); `traceparent` is
    the caller's trace, or empty; `arrived_s` is monotonic.

    `head` is set where the next request may have the same one; `body` where it came whole with that head.
    """

    method: str
    target: str
    raw_headers: tuple[tuple[bytes, bytes], ...]
    headers: Mapping[str, str]
    payload: StreamReader
    connection: Connection
    is_http_1_0: bool
    is_chunked: bool
    is_last: bool
    is_upgrade: bool
    traceparent: str
    head: Head | None = None
    body: bytes | None = None
    arrived_s: float = 0.0

    def _finish(self) -> None:
        """aiohttp: the answer is about to be written. Nothing of ours is left to clean up."""

    def _cancel(self, error: BaseException) -> None:
        """aiohttp: the client is gone; whoever reads the payload must hear of it."""
        self.payload.set_exception(error)


def arrival_of(message: RawRequestMessage, payload: StreamReader, connection: Connection) -> Arrival:
    """The request that the parser has read."""
    return Arrival(
        message.method,
        message.path,
        message.raw_headers,
        message.headers,
        payload,
        connection,
        message.version == HttpVersion10,
        bool(message.chunked),
        bool(message.should_close),
        bool(message.upgrade),
        _traceparent(message.headers),
    )


def _traceparent(headers: Mapping[str, str]) -> str:
    given = headers.get("traceparent", "")
    if not given and "cf-aig-otel-trace-id" in headers:
        return traceparent_of(headers["cf-aig-otel-trace-id"], headers.get("cf-aig-otel-parent-span-id", ""))
    return given
