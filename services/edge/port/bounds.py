"""Bounds: how much of a request may come, and how long a client may take for it."""

from __future__ import annotations

import msgspec


class PortBounds(msgspec.Struct, frozen=True, kw_only=True):
    """All of them are upper bounds. The defaults are what docs/wire.md promises; tests have less patience."""

    head_s: float = 10.0
    """From a connection's start, or from a later head's first byte, to the head's end."""
    head_bytes: int = 64 * 1024
    """Request line and headers together."""
    header_bytes: int = 32 * 1024
    """One header, and the request line."""
    headers: int = 256
    keep_alive_s: float = 75.0
    """Between two requests; longer than the usual load balancers' 60 s, so that they close first."""
    body_progress_s: float = 30.0
    """Between two pieces of a body, while the gateway wants more of it."""
    buffered_bytes: int = 64 * 1024
    """Of a body that has come and was not taken yet; reading stops at twice that."""
    farewell_s: float = 2.0
    """After the last answer: for a client to read it and close, before the connection is dropped."""
    farewell_s_max: float = 30.0
    """The same for a client that is still sending, or still reading."""
    refused_connections: int = 1_000
    """Connections over the limit that are told so, at the same time; those beyond are dropped."""
    quiet_s: float = 0.25
    """While stopping: how long nothing is in flight before the open connections count as unused."""
