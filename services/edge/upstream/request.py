"""
Request: what the pipeline hands over, complete.

The head is the request line and every header as raw bytes with the closing blank line; nothing is added here and
nothing taken away. A body is bytes that can be sent again, or pieces that exist once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from services.edge.upstream.origin import Origin


class ChunkedBody(msgspec.Struct, frozen=True):
    """
    A body that passes through as it comes.

    `length_bytes` is what the head's `Content-Length` says; None: it says chunked, and the pieces are framed here.
    """

    pieces: AsyncIterator[bytes]
    length_bytes: int | None


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One request to one origin."""

    origin: Origin
    method: bytes
    head: bytes
    body: bytes | ChunkedBody
    connect_timeout_s: float
    """For name, race, proxy and TLS together."""
    idle_timeout_s: float
    """The longest silence within an answer's body; until its head comes, the caller's own deadline counts."""
    on_written: Callable[[], None] | None = None
    """Called once, when the head has been written; also when a stale connection makes it be written twice."""
    accepts_upgrade: bool = False
    """A 101 is an answer; what follows it, in both directions, is bytes without framing."""
