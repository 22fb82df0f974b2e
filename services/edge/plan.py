"""
Plan: what is to be tried for a request, in order.

Every surface only builds a plan; the attempt loop walks it, and nothing below it knows which surface it came from. A
step is complete: origin, target, headers, body, bounds. Hazard: a streamed body exists once, so a plan with
one has a single step and a single attempt once its first byte has left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from services.contracts.router.values import Provider, Retries, Target, Timeouts
from services.dialects.request import RequestFacts
from services.edge.headers import Noted
from services.edge.options import Options
from services.edge.upstream.origin import Origin

Surface = Literal["native", "universal", "unified", "websocket"]


class StreamedBody(msgspec.Struct, frozen=True):
    """
    A body that passes through as it comes. `length_bytes` None: chunked. `beginning`: the first of `pieces`, to look
    at.
    """

    pieces: AsyncIterator[bytes]
    length_bytes: int | None
    beginning: bytes


class Step(msgspec.Struct, frozen=True):
    """
    One provider to try. `headers` lack only `Host`, the framing and the trace; `path` is for logs and has no query.
    """

    index: int
    provider: Provider
    base_url: str
    origin: Origin
    watched: Target
    """What the router keeps the health of."""
    method: str
    target: bytes
    path: str
    headers: list[tuple[bytes, bytes]]
    noted: Noted
    body: bytes | StreamedBody
    facts: RequestFacts
    options: Options
    retries: Retries
    timeouts: Timeouts
    key_alias: str
    """Alias of the stored key to inject; empty: the client brought its own, or none is stored."""


Plan = tuple[Step, ...]
