"""The server that all fake providers share: records requests, sends canned answers plain or gzipped."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

TEXT = "Narrow waters run fast."
PIECES = ("Narrow", " waters", " run", " fast.")
TOKENS_IN = 11
TOKENS_OUT = 4
STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived; header names and values are the octets, in their order."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2])

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    def header(self, name: str) -> str:
        """The first header of that name, or empty."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer; one piece is a body with a length, a stream is sent piece by piece."""

    pieces: tuple[bytes, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    is_stream: bool = False


Answering = Callable[[Recorded, str], Canned | None]
"""Request and the server's own URL to an answer; None: no such path."""


def document(content: Any, *, status: int = 200, **headers: str) -> Canned:
    """An answer that is one JSON document; headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Canned((json.dumps(content).encode(),), status=status, headers=named)


def binary(content: bytes, content_type: str) -> Canned:
    """An answer that is no text."""
    return Canned((content,), content_type=content_type)


def events(items: Iterable[dict[str, Any]], *, is_named: bool = False, done: bool = False, end: str = "\n\n") -> Canned:
    """A stream of server-sent events; named ones by the `type` of their fields."""
    pieces = [(f"event: {item['type']}\n" if is_named else "") + f"data: {json.dumps(item)}{end}" for item in items]
    if done:
        pieces.append("data: [DONE]\n\n")
    return stream([piece.encode() for piece in pieces])


def stream(pieces: Iterable[bytes], content_type: str = "text/event-stream") -> Canned:
    """A stream of these pieces."""
    return Canned(tuple(pieces), content_type=content_type, is_stream=True)


@dataclass(slots=True)
class FakeProvider:
    """
    A running fake. `is_gzipping`: answers are gzipped for who accepts that. `override` answers before the fake.

    `pieces_max`: after so many pieces of a stream the connection is cut or, `is_stalling`, nothing more comes.
    """

    answering: Answering
    url: str = ""
    is_gzipping: bool = False
    override: Answering | None = None
    pieces_max: int | None = None
    is_stalling: bool = False
    requests: list[Recorded] = field(default_factory=list)

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler of the low-level server."""
        recorded = Recorded(request.method, request.raw_path, request.raw_headers, await request.content.read())
        self.requests.append(recorded)
        canned = self.override(recorded, self.url) if self.override is not None else None
        canned = canned or self.answering(recorded, self.url) or document({"error": "no such path"}, status=404)
        is_coded = self.is_gzipping and "gzip" in recorded.header("accept-encoding") and "/" in canned.content_type
        if self.pieces_max is None or not canned.is_stream:
            return await _send(request, canned, is_coded=is_coded)
        response = await _begin(request, canned, is_coded=is_coded)
        for piece in _coded(canned, is_coded=is_coded)[: self.pieces_max]:
            await response.write(piece)
        if self.is_stalling:
            await asyncio.sleep(STALL_S)
        elif request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def serve(answering: Answering, *, is_gzipping: bool = False) -> AsyncIterator[FakeProvider]:
    """A fake on a free port of this machine."""
    fake = FakeProvider(answering, is_gzipping=is_gzipping)
    server = web.Server(fake.respond, auto_decompress=False, max_field_size=65_536, max_line_size=65_536)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield fake
    finally:
        await runner.cleanup()


@contextmanager
def serving(answering: Answering, *, is_gzipping: bool = False) -> Iterator[FakeProvider]:
    """As `serve`, on a thread of its own, for clients that block."""
    fake: list[FakeProvider] = []
    is_ready = threading.Event()
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def run() -> None:
        async with serve(answering, is_gzipping=is_gzipping) as running:
            fake.append(running)
            is_ready.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert is_ready.wait(10), "the fake provider did not start"
    try:
        yield fake[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()


async def _send(request: web.BaseRequest, canned: Canned, *, is_coded: bool) -> web.StreamResponse:
    response = await _begin(request, canned, is_coded=is_coded)
    for piece in _coded(canned, is_coded=is_coded):
        await response.write(piece)
    await response.write_eof()
    return response


async def _begin(request: web.BaseRequest, canned: Canned, *, is_coded: bool) -> web.StreamResponse:
    response = web.StreamResponse(status=canned.status, headers=canned.headers)
    response.headers["Content-Type"] = canned.content_type
    if is_coded:
        response.headers["Content-Encoding"] = "gzip"
    if not canned.is_stream:
        response.content_length = sum(map(len, _coded(canned, is_coded=is_coded)))
    await response.prepare(request)
    return response


def _coded(canned: Canned, *, is_coded: bool) -> list[bytes]:
    return list(_gzipped(canned.pieces)) if is_coded else list(canned.pieces)


def _gzipped(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Each piece flushed, so that a stream stays one."""
    compressor = zlib.compressobj(wbits=31)
    flush = partial(compressor.flush, zlib.Z_SYNC_FLUSH)
    for piece in pieces:
        yield compressor.compress(piece) + flush()
    yield compressor.flush()
