"""
Dialogue: what a client writes on a connection, and what must come of each request.

What a provider must receive is worked out here anew, from the octets of the request and docs/wire.md section 1, with
nothing of the gateway's own code. The provider says back what it received, so each answer tells which request it is
the answer to, and whether a single octet of that request has changed, moved or come from another one.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from tests.protocol.port.raw import RawAnswer, RawClient
from tests.protocol.upstream.scripted import Received, Visit, ok

Header = tuple[bytes, bytes]

GATEWAY = b"/v1/local/main/openai/"
CHAT = GATEWAY + b"chat/completions"
CONTINUE = (b"Expect", b"100-continue")

_STOPPED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers"
    b" transfer-encoding upgrade host forwarded via x-real-ip cookie".split()
)
_STOPPED_BEGINNINGS = (b"cf-aig-", b"x-forwarded-")
_WITH_A_BODY = (b"POST", b"PUT", b"PATCH", b"QUERY")


class Arrived(NamedTuple):
    """A request as a provider gets it, without `Host`."""

    line: bytes
    headers: list[Header]
    body: bytes


@dataclass(frozen=True)
class Said:
    """
    One request as it is written. `content` follows the head; `body` is what it means, however it is framed. `status`:
    what it is answered with; only 200 is the provider's.
    """

    method: bytes = b"GET"
    target: bytes = CHAT
    headers: tuple[Header, ...] = ((b"Host", b"gateway.test"),)
    content: bytes = b""
    body: bytes = b""
    version: bytes = b"1.1"
    status: int = 200

    @property
    def head(self) -> bytes:
        """Request line, headers and the empty line."""
        lines = b"".join(b"%b:%b\r\n" % header for header in _spaced(self.headers))
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.method, self.target, self.version, lines)

    @property
    def octets(self) -> bytes:
        """All of it."""
        return self.head + self.content

    def value(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return next((value.strip(b" \t") for known, value in self.headers if known.lower() == name), None)

    @property
    def is_chunked(self) -> bool:
        return self.value(b"transfer-encoding") is not None

    def arrives(self) -> Arrived:
        """What the provider must get. A chunked body may change its framing on the way, so that is left out."""
        path = self.target if self.target.startswith(b"/") else b"/" + self.target.split(b"/", 3)[3]
        line = b"%b /v1/%b HTTP/1.1" % (self.method, path.split(b"/", 5)[5])
        named = {
            token.strip().lower()
            for name, value in self.headers
            if name.lower() == b"connection"
            for token in value.split(b",")
        }
        headers = [(name, _value(name, value)) for name, value in self.headers if _passes(name.lower(), named)]
        if self.method in _WITH_A_BODY and not self.is_chunked and self.value(b"content-length") is None:
            headers.append((b"Content-Length", b"0"))
        return Arrived(line, headers, self.body)


def get(*headers: Header, **changes: object) -> Said:
    """A request without a body."""
    return Said(headers=((b"Host", b"gateway.test"), *headers), **changes)  # type: ignore[arg-type]  # a Said's own


def post(body: bytes, *headers: Header, **changes: object) -> Said:
    """A request whose body has a length."""
    framed = ((b"Host", b"gateway.test"), *headers, (b"Content-Length", b"%d" % len(body)))
    return Said(b"POST", headers=framed, content=body, body=body, **changes)  # type: ignore[arg-type]  # a Said's own


def chunked(pieces: Sequence[bytes], *headers: Header, **changes: object) -> Said:
    """A request whose body comes in chunks."""
    framed = ((b"Host", b"gateway.test"), *headers, (b"Transfer-Encoding", b"chunked"))
    content = in_chunks(pieces)
    return Said(b"POST", headers=framed, content=content, body=b"".join(pieces), **changes)  # type: ignore[arg-type]


def in_chunks(pieces: Iterable[bytes]) -> bytes:
    """These pieces, each a chunk, and the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


async def echo(visit: Visit, received: Received) -> None:
    """A provider's turn: it says back what it received; to HEAD in a header."""
    if received.head.startswith(b"HEAD "):
        echoed = base64.b64encode(received.head + received.body)
        await visit.send(b"HTTP/1.1 200 OK\r\nX-Echo: %b\r\nContent-Length: 1\r\n\r\n" % echoed)
    else:
        await visit.send(ok(received.head + received.body))


def arrived(octets: bytes, *, is_chunked: bool = False) -> Arrived:
    """A request that a provider has received."""
    head, _, body = octets.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    pairs = [(name, _value(name, value)) for name, _, value in (each.partition(b": ") for each in lines)]
    dropped = {b"host", b"content-length", b"transfer-encoding"} if is_chunked else {b"host"}
    return Arrived(line, [pair for pair in pairs if pair[0].lower() not in dropped], body)


def judge(answer: RawAnswer, said: Said) -> None:
    """The answer is to this request, and the provider got this request and nothing else."""
    assert answer.status == said.status, said.octets
    assert answer.is_whole
    if said.status != 404:
        event_id = said.value(b"cf-aig-event-id")
        assert answer.get("cf-aig-event-id") == (event_id.decode() if event_id else None), said.octets
    assert answer.get("connection") == ("keep-alive" if said.version == b"1.0" else None), said.octets
    if said.status == 200:
        echoed = base64.b64decode(answer.get("x-echo") or "") if said.method == b"HEAD" else answer.body
        assert arrived(echoed, is_chunked=said.is_chunked) == said.arrives()


async def write(client: RawClient, octets: bytes, *cuts: int) -> None:
    """Write octets in segments that end at these places; each is read before the next one is written."""
    at = 0
    for cut in (*sorted(set(cuts)), len(octets)):
        if at < cut <= len(octets):
            client.writer.write(octets[at:cut])
            await seen()
            at = cut
    await client.writer.drain()


async def seen() -> None:
    """Long enough for the edge, which shares this loop, to have read what was written."""
    for _ in range(2):
        await asyncio.sleep(0)


async def converse(client: RawClient, said: Sequence[Said], *cuts: int) -> list[RawAnswer]:
    """
    Write these requests in one go, cut into segments, and read and judge their answers, which come in order. A chunked
    one ends its segment: nothing is read behind it in the same one.
    """
    ends = accumulate(len(each.octets) for each in said)
    own_cuts = [end for end, each in zip(ends, said, strict=True) if each.is_chunked]
    await write(client, b"".join(each.octets for each in said), *cuts, *own_cuts)
    answers = [await client.answer(method=each.method.decode()) for each in said]
    for answer, each in zip(answers, said, strict=True):
        judge(answer, each)
    return answers


def _spaced(headers: Sequence[Header]) -> Iterable[Header]:
    """A value that begins with white space has its own."""
    for name, value in headers:
        yield name, value if value[:1] in (b" ", b"\t", b"") else b" " + value


def _value(name: bytes, value: bytes) -> bytes:
    """A header's value. Zeros before a length mean nothing."""
    plain = value.strip(b" \t")
    return plain.lstrip(b"0") or b"0" if name.lower() == b"content-length" else plain


def _passes(name: bytes, named: set[bytes]) -> bool:
    return name not in _STOPPED and name not in named and not name.startswith(_STOPPED_BEGINNINGS)
