"""
Crowd: many requests at once from one process, over plain asyncio sockets.

Returns status, headers and body of each, or the error instead. The number of open connections is the number of requests
in flight.

`OpenLoop` sends at a rate, whatever comes back: what a request took counts from when it was due, so a stall that
holds up many requests is seen in each of them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
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
            await _ask(url, json.dumps(document).encode(), headers or {}, outcome)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        outcome.error = f"{type(error).__name__}: {error}"
    outcome.took_s = time.monotonic() - started_s
    return outcome


async def _ask(url: str, body: bytes, headers: Mapping[str, str], outcome: Outcome) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(written(parts.netloc, parts.path, body, headers))
        await read_answer(reader, outcome)
    finally:
        writer.close()


def written(
    host: str, path: str, body: bytes, headers: Mapping[str, str] | None = None, *, is_last: bool = True
) -> bytes:
    """A POST as it goes out; `is_last` of its connection."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(["Connection: close"] if is_last else [])]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def read_answer(reader: asyncio.StreamReader, outcome: Outcome | None = None) -> Outcome:
    """The next answer of a connection. `outcome` is filled as it comes, and has its status once it is whole."""
    outcome = outcome or Outcome(0)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    outcome.headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    await _read_body(reader, outcome)
    outcome.status = int(head[0].split()[1])
    return outcome


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


@dataclass
class Sent:
    """One request of an open loop. Times are monotonic seconds."""

    due_at_s: float
    ended_at_s: float
    outcome: Outcome

    @property
    def took_s(self) -> float:
        return self.ended_at_s - self.due_at_s


class OpenLoop:
    """Requests at a rate. `sent` holds those that have ended."""

    def __init__(self, request: Callable[[], Awaitable[Outcome]], *, rate_per_s: float) -> None:
        self.sent: list[Sent] = []
        self._request = request
        self._every_s = 1 / rate_per_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block runs, and leaves when the last answer is there."""
        is_over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(tasks, is_over))
            yield
            is_over.set()

    def between(self, begin_s: float, end_s: float) -> list[Sent]:
        """Those that were due in that time."""
        return [one for one in self.sent if begin_s <= one.due_at_s < end_s]

    async def _send(self, tasks: asyncio.TaskGroup, is_over: asyncio.Event) -> None:
        due_at_s = time.monotonic()
        while not is_over.is_set():
            due_at_s += self._every_s
            await asyncio.sleep(due_at_s - time.monotonic())
            tasks.create_task(self._one(due_at_s))

    async def _one(self, due_at_s: float) -> None:
        outcome = await self._request()
        self.sent.append(Sent(due_at_s, time.monotonic(), outcome))
