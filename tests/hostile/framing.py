"""
Attacks on framing: requests that want to be two, heads that are no HTTP, paths that want to climb.

The tables are those of tests/protocol/port, where each case has a test of its own; here they come in numbers, at a
whole deployment. What follows a request whose end is in doubt must never reach the provider.
"""

from __future__ import annotations

from functools import partial

from tests.hostile.attack import CHAT, Edge, Result, expect, one_after_the_other
from tests.protocol.port.raw import post, request
from tests.protocol.port.test_framing import CHUNKS, LENGTHS, SMUGGLED, USUAL, chunked, with_length
from tests.protocol.port.test_heads import NOT_HTTP

ROUNDS = 8
_AT_ONCE = 8
_PROVIDER = "/v1/local/main/openai/"
BARE = {
    "bare LF in the head": request(CHAT, b"X: a\nTransfer-Encoding: chunked", method=b"POST", body=b"{}"),
    "bare CR in the head": request(CHAT, b"X: a\rTransfer-Encoding: chunked", method=b"POST", body=b"{}"),
    "bare LF behind the line": request(CHAT).replace(b"\r\n", b"\n", 1),
    "bare CR behind the line": request(CHAT).replace(b"\r\n", b"\r", 1),
    "bare LF at the end": request(CHAT)[:-2] + b"\n",
}
CLIMBING = (
    "..", ".", "../x", "a/../b", "a/./b", "a/..", "%2e%2e/x", "%2E%2e/x", ".%2e/x", "%2e/x", "a/%2e%2e/b",
    "..?x=1", "v1/../../secret",
)  # fmt: skip


async def framing(edge: Edge) -> Result:
    """Behind a good request and alone: 400, closed, and nothing behind it is a request."""
    alone = {**NOT_HTTP, **BARE}
    in_doubt = {f"length{value!r}": with_length(value, b"0\r\n\r\n" + SMUGGLED) for value in LENGTHS}
    head = chunked((b"{}",), (b"X-A", b"1")).head
    in_doubt |= {f"chunk {content!r}": head + content + SMUGGLED for content in CHUNKS}
    cases = [*alone.items(), *in_doubt.items()] * ROUNDS
    tries = [partial(_refused, edge, name, content) for name, content in cases]
    return await one_after_the_other(tries, at_once=_AT_ONCE)


async def climbing(edge: Edge) -> Result:
    """Dot segments, plain and encoded: 400 in the shape of the surface."""
    paths = [path for path in CLIMBING for _ in range(ROUNDS * 8)]

    async def one(path: str) -> str:
        async with edge.client() as client:
            return await expect(client, post(_PROVIDER + path, b"{}"), 400, name=path)

    return await one_after_the_other([partial(one, path) for path in paths], at_once=_AT_ONCE)


async def _refused(edge: Edge, name: str, content: bytes) -> str:
    async with edge.client() as client:
        good = await expect(client, USUAL.octets, 200, name="the good one before")
        return good or await expect(client, content, 400, name=name, is_closed=True)
