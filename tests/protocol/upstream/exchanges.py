"""Requests as the pipeline would build them, answers read to their end, and the wait for what they cause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.origin import Origin
from services.edge.upstream.request import ChunkedBody, UpstreamRequest


def request(
    origin: Origin,
    *,
    method: bytes = b"POST",
    body: bytes | ChunkedBody = b"{}",
    idle_timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
    on_written: Callable[[], None] | None = None,
    headers: bytes = b"",
    accepts_upgrade: bool = False,
) -> UpstreamRequest:
    length = len(body) if isinstance(body, bytes) else body.length_bytes
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    head = b"%b /v1/chat HTTP/1.1\r\nHost: %b\r\n%b%b\r\n\r\n" % (method, origin.authority, headers, framing)
    return UpstreamRequest(
        origin=origin,
        method=method,
        head=head,
        body=body,
        connect_timeout_s=connect_timeout_s,
        idle_timeout_s=idle_timeout_s,
        on_written=on_written,
        accepts_upgrade=accepts_upgrade,
    )


async def whole(answer: UpstreamAnswer) -> bytes:
    """The rest of the body, to its proper end."""
    parts: list[bytes] = []
    await collect(answer, parts)
    return b"".join(parts)


async def collect(answer: UpstreamAnswer, parts: list[bytes]) -> None:
    """As `whole`, but what came before a break is kept."""
    while await answer.more():
        parts += answer.take()


async def soon(is_true: Callable[[], bool]) -> None:
    """Wait for something that another part of the loop is about to do."""
    async with asyncio.timeout(1):
        while not is_true():
            await asyncio.sleep(0.001)
