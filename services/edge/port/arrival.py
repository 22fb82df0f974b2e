"""
Arrival: one request as it came in, before anybody has judged it.

aiohttp's own request class parses the URL, keeps peer names and caches on each request; a gateway wants the
octets: method, raw target, raw headers, the payload stream, and the connection to answer on. The underscored
methods are what aiohttp calls of the request under way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import HttpVersion10, StreamReader
from aiohttp.http import RawRequestMessage

if TYPE_CHECKING:
    from services.edge.port.connection import Connection
    from services.edge.port.head import Head


class Arrival:
    """
    One request. `target` is the request line's, octet for octet (undecodable octets as surrogates).

    `head` is set where the next request may have the same one; `body` where it came whole with that head.
    """

    __slots__ = (
        "arrived_s",
        "body",
        "connection",
        "head",
        "headers",
        "is_chunked",
        "is_http_1_0",
        "is_last",
        "is_upgrade",
        "method",
        "payload",
        "raw_headers",
        "target",
    )

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: Connection,
        *,
        head: Head | None = None,
        body: bytes | None = None,
    ) -> None:
        self.method: str = message.method
        self.target: str = message.path
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.headers: Mapping[str, str] = message.headers
        self.payload = payload
        self.connection = connection
        self.is_http_1_0 = message.version is HttpVersion10 or message.version == HttpVersion10
        self.is_chunked = bool(message.chunked)
        self.is_last = bool(message.should_close)
        self.is_upgrade = bool(message.upgrade)
        self.head = head
        self.body = body
        self.arrived_s = time.monotonic()

    def _finish(self) -> None:
        """aiohttp: the answer is about to be written. Nothing of ours is left to clean up."""

    def _cancel(self, error: BaseException) -> None:
        """aiohttp: the client is gone; whoever reads the payload must hear of it."""
        self.payload.set_exception(error)
