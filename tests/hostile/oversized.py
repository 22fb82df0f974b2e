"""
Oversized everything: heads, bodies, steps, names, nesting, chunks, trailers; and bombs, which look small enough.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial

from tests.hostile.attack import CHAT, UNIVERSAL, Edge, Result, expect, judged, one_after_the_other
from tests.hostile.bombs import CODINGS, bomb
from tests.protocol.port.raw import RawClient, post, request
from tests.protocol.port.test_heads import TOO_LARGE

ROUNDS = 8
_AT_ONCE = 4
_BODY_BYTES_MAX = 25 * 2**20
_DEEP = b"[" * 200_000 + b"]" * 200_000
_STEP = {"provider": "openai", "endpoint": "chat/completions", "query": {}}
_PIECE = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


def _filled(size_bytes: int, *, filling: bytes = b"a") -> bytes:
    """A universal body of that size, with a comma too many at its end."""
    begin, end = b'[{"provider":"openai","endpoint":"chat/completions","query":{"messages":["', b'"]}},]'
    times = (size_bytes - len(begin) - len(end)) // len(filling)
    return begin + filling * times + end


def _small() -> dict[str, tuple[bytes, int]]:
    steps = json.dumps([_STEP] * 33).encode()
    long = b"a" * 30_000
    return {
        **{f"head: {name}": (content, 400) for name, content in TOO_LARGE.items()},
        "length beyond the limit": (request(CHAT, b"Content-Length: 26214401", method=b"POST"), 413),
        "universal length beyond the limit": (request(UNIVERSAL, b"Content-Length: 99999999", method=b"POST"), 413),
        "33 steps": (post(UNIVERSAL, steps), 400),
        "nesting, universal": (post(UNIVERSAL, b'[{"provider":"openai","query":' + _DEEP + b"}]"), 400),
        "nesting": (post(CHAT, b'{"messages":' + _DEEP + b"}"), 200),
        "event id": (post(CHAT, b"{}", b"cf-aig-event-id: " + long), 400),
        "number": (post(CHAT, b"{}", b"cf-aig-request-timeout: " + b"9" * 5_000), 400),
        "metadata": (post(CHAT, b"{}", b'cf-aig-metadata: {"a":"' + long + b'"}'), 200),
        "metadata number": (post(CHAT, b"{}", b'cf-aig-metadata: {"a":' + b"9" * 5_000 + b"}"), 200),
        "cache key": (post(CHAT, b"{}", b"cf-aig-cache-key: " + long), 200),
        "model": (post(CHAT, b'{"model":"%b"}' % (b"m" * 2_000_000)), 200),
        "query": (post(CHAT + "?" + "q=1&" * 7_000, b"{}"), 200),
        "one octet a chunk": (
            request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"),
            200,
        ),
        "trailers": (
            request(CHAT, b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n" + b"X: y\r\n" * 400_000),
            400,
        ),
        "marks of files": (post(CHAT, b'{"m":"' + b';base64,\\"' * 400_000 + b'"}', b"cf-aig-max-attempts: 2"), 200),
    }


async def oversized(edge: Edge) -> Result:
    """Each refused in its own words, before it costs anything, or passed on."""

    async def one(name: str, content: bytes, status: int) -> str:
        async with edge.client() as client:
            return await expect(client, content, status, name=name)

    cases = _small()
    tries = [partial(one, name, *case) for _ in range(ROUNDS) for name, case in cases.items()]
    return await one_after_the_other(tries, at_once=_AT_ONCE)


async def oversized_chunks(edge: Edge) -> Result:
    """A body that says no length is counted: 413 when it has passed the limit, with a cache, a plan or none."""

    async def one(path: str) -> str:
        async with edge.client() as client:
            writing = asyncio.ensure_future(_write_chunks(client, path))
            try:
                return judged(await client.answer(), 413, f"chunks to {path}")
            except (OSError, asyncio.IncompleteReadError) as error:
                return f"chunks to {path}: {type(error).__name__}"
            finally:
                writing.cancel()

    paths = (CHAT, UNIVERSAL, "/v1/local/cached/openai/chat/completions")
    return await one_after_the_other([partial(one, path) for path in paths * 2], at_once=2)


def _begun(filling: bytes) -> bytes:
    """The same, and its first comma too many stands at its beginning."""
    begin, end = b'[{"provider":"openai","endpoint":"chat/completions","query":{"a":[1,],"messages":[["', b'"]]}}]'
    return begin + filling * ((_BODY_BYTES_MAX - len(begin) - len(end)) // len(filling)) + end


async def commas(edge: Edge) -> Result:
    """Universal bodies at the limit with a comma too many, or with nothing but commas."""
    bodies = (
        (_filled(_BODY_BYTES_MAX), 200),
        (_filled(_BODY_BYTES_MAX, filling=b"\\n"), 200),
        (_filled(_BODY_BYTES_MAX, filling=b'","'), 200),
        (_filled(_BODY_BYTES_MAX, filling=b'",],["'), 400),
        (b"[" + b"," * (_BODY_BYTES_MAX - 1), 400),
        (_begun(b'x"],["'), 200),
        (_begun(b"x,"), 200),
        (_begun(b'x",],["'), 400),
    )

    async def one(body: bytes, status: int) -> str:
        async with edge.client() as client:
            return await expect(client, post(UNIVERSAL, body), status, name=f"commas {body[70:80]!r}")

    return await one_after_the_other([partial(one, *each) for each in bodies], at_once=2)


async def bombs(edge: Edge) -> Result:
    """Coded bodies that mean a gigabyte, both ways: they pass as they are, octet for octet."""

    async def sent(coding: str) -> str:
        async with edge.client() as client:
            content = post(CHAT, bomb(coding), b"Content-Encoding: " + coding.encode())
            return await expect(client, content, 200, name=f"{coding} bomb sent")

    async def fetched(gateway: str, coding: str) -> str:
        async with edge.client() as client:
            answer = await client.ask(post(f"/v1/local/{gateway}/openai/chat/completions/bomb/{coding}", b"{}"))
            is_same = answer.status == 200 and answer.body == bomb(coding)
            return "" if is_same else f"{coding} bomb fetched: {answer.status}, {len(answer.body)} bytes"

    tries = [partial(sent, coding) for coding in CODINGS]
    tries += [partial(fetched, gateway, coding) for coding in CODINGS for gateway in ("main", "cached")]
    return await one_after_the_other(tries * ROUNDS, at_once=2)


async def _write_chunks(client: RawClient, path: str) -> None:
    await client.send(request(path, b"Transfer-Encoding: chunked", method=b"POST", body=b""))
    for _ in range(_BODY_BYTES_MAX // 65_536 + 16):
        await client.send(_PIECE)
