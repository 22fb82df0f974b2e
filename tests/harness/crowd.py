"""
Crowd: many requests at once from one process, over plain asyncio sockets.

Returns status, headers and body of each, or the error instead. The number of open connections is the number of requests
in flight; `rate_per_s` paces their starts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Outcome:
    """
    What one request got. `status` 0: no whole answer; `error` says why, and `headers` and `body` are what came of it.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    error: str = ""
    took_s: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def log_id(self) -> str:
        return self.headers.get("cf-aig-log-id", "")


async def ask(
    url: str,
    document: object,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 60,
    outcome: Outcome | None = None,
) -> Outcome:
    """POST a JSON document on a connection of its own. `outcome` is filled as the answer comes, for who looks on."""
    outcome = outcome or Outcome(0)
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            outcome.status = await _ask(url, json.dumps(document).encode(), headers or {}, outcome)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        outcome.error = f"{type(error).__name__}: {error}"
    outcome.took_s = time.monotonic() - started_s
    return outcome


async def _ask(url: str, body: bytes, headers: Mapping[str, str], outcome: Outcome) -> int:
    """The status of an answer that is whole."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        outcome.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        await _read_body(reader, outcome)
        return int(head[0].split()[1])
    finally:
        writer.close()


async def _read_body(reader: asyncio.StreamReader, outcome: Outcome) -> None:
    if outcome.headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            outcome.pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return
    left = int(outcome.headers.get("content-length", 0))
    while left:
        piece = await reader.read(left)
        if not piece:
            raise asyncio.IncompleteReadError(outcome.body, None)
        outcome.pieces.append(piece)
        left -= len(piece)


async def all_at_once(requests: Iterable[Callable[[], Awaitable[Outcome]]]) -> list[Outcome]:
    """Every request in its own task, started together."""
    return await asyncio.gather(*(request() for request in requests))


async def a_few_at_a_time(requests: Iterable[Callable[[], Awaitable[Outcome]]], *, at_once: int) -> list[Outcome]:
    """Every request, with so many in flight."""
    waiting = iter(requests)
    outcomes: list[Outcome] = []

    async def work() -> None:
        for request in waiting:
            outcomes.append(await request())

    await asyncio.gather(*(work() for _ in range(at_once)))
    return outcomes
