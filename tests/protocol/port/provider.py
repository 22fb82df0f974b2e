"""The provider behind the edge: it records what arrives and answers with the octets that a test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.protocol.upstream.scripted import Received, ScriptedProvider, Visit, ok

Turn = Callable[[Visit, Received], Awaitable[None]]
"""Answers one request."""


def saying(*pieces: bytes) -> Turn:
    """The same answer to each request, its pieces in segments of their own."""

    async def turn(visit: Visit, request: Received) -> None:
        await visit.send(*pieces)

    return turn


JSON_OK = ok(b'{"ok":1}', b"Content-Type: application/json")


class Provider:
    """Set `turn` to answer whole requests, or `early` to be called with the connection when a head has come."""

    def __init__(self) -> None:
        self.turn: Turn = saying(JSON_OK)
        self.early: Callable[[Visit], Awaitable[None]] | None = None
        self.received: list[Received] = []
        self.server = ScriptedProvider(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def last(self) -> Received:
        return self.received[-1]

    def forget(self) -> None:
        """As new."""
        self.turn, self.early, self.received = saying(JSON_OK), None, []

    async def _serve(self, visit: Visit) -> None:
        while True:
            head = await visit.head()
            if self.early is not None:
                await self.early(visit)
                return
            request = Received(head, await _body(visit, head))
            self.received.append(request)
            await self.turn(visit, request)


async def _body(visit: Visit, head: bytes) -> bytes:
    lower = head.lower()
    if b"transfer-encoding: chunked" not in lower:
        _, found, rest = lower.partition(b"content-length:")
        return await visit.reader.readexactly(int(rest.split(b"\r\n", 1)[0]) if found else 0)
    body = b""
    while size := int(await visit.reader.readuntil(b"\r\n"), 16):
        body += (await visit.reader.readexactly(size + 2))[:-2]
    await visit.reader.readexactly(2)
    return body


def headers_of(request: Received) -> list[tuple[str, str]]:
    """A request's headers in their order."""
    lines = request.head[:-4].split(b"\r\n")[1:]
    pairs = [line.decode("latin-1").partition(":") for line in lines]
    return [(name, value.strip()) for name, _, value in pairs]


def header_of(request: Received, name: str) -> list[str]:
    """All values of that lower-case name."""
    return [value for known, value in headers_of(request) if known.lower() == name]


def stream(*events: bytes, is_whole: bool = True, headers: bytes = b"") -> bytes:
    """A stream of server-sent events, in chunks; each event is one."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n%b\r\n" % headers
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return head + chunks + (b"0\r\n\r\n" if is_whole else b"")
