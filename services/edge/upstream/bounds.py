"""Bounds: how many connections there may be, how long they live, and how long a request waits for one."""

from __future__ import annotations

import msgspec


class PoolBounds(msgspec.Struct, frozen=True, kw_only=True):
    """All of them are upper bounds."""

    connections_max: int = 10_000
    """In all; as many as the data port takes by default, since a stream holds one on either side."""
    connections_per_origin_max: int = 10_000
    waiting_max: int = 1_024
    """Requests that wait for a connection; beyond it they are shed at once."""
    wait_s: float = 5.0
    idle_s: float = 30.0
    """Below the idle timeouts of the usual load balancers (60 s), so that few connections are stale when used."""
    age_s: float = 300.0
    """A provider that moves to other addresses is followed within this time."""


class UpstreamStats(msgspec.Struct, frozen=True):
    """Connections now, and what has happened since the start."""

    open: int
    """Being opened, busy and idle."""
    idle: int
    waiting: int
    opened: int
    """Connections that were made."""
    waits: int
    """Requests that had to wait for a connection."""
    reuse_failures: int
    """Idle connections that turned out to be stale when they were used."""
    shed: int
    """Requests that found no connection within the bounds."""
