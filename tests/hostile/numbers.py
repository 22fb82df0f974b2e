"""
Attacks by numbers: 100,000 keys under one limit, and names that want to become metrics, labels or headers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial

from tests.hostile.attack import CHAT, UNIVERSAL, Edge, Result, expect
from tests.protocol.port.raw import RawClient, post

KEYS = 100_000
NAMES = 1_000
_AT_ONCE = 8
Work = Callable[[RawClient, int, Result], Awaitable[None]]
EVIL = 'm%d"} 1\nevil_metric{x="1"} 1\r\nX-Evil: 1\r\n\r\n\\'


async def keys(edge: Edge) -> Result:
    """Each request under a key of its own: admitted, since none has spent anything."""

    async def work(client: RawClient, first: int, result: Result) -> None:
        for number in range(first, KEYS, _AT_ONCE):
            content = post("/v1/local/keyed/openai/chat/completions", b"{}", b"x-user: user-%d" % number)
            result.note(await expect(client, content, 200, name="key"))

    return await _by_some(edge, work)


async def names(edge: Edge) -> Result:
    """Models, event ids, providers and gateways with new names all the time, and with what ends a line."""

    async def work(client: RawClient, first: int, result: Result) -> None:
        for number in range(first, NAMES, _AT_ONCE):
            evil = json.dumps(EVIL % number).encode()
            step = b'[{"provider":"openai","endpoint":"chat/completions","query":{"model":%b}}]' % evil
            stray = b'[{"provider":%b,"query":{}}]' % evil
            injected = b'[{"provider":"openai","headers":{"x":%b},"query":{}}]' % evil
            spent = partial(expect, client)
            result.note(await spent(post(CHAT, b'{"model":%b}' % evil), 200, name="model"))
            result.note(await spent(post(UNIVERSAL, step), 200, name="model of a step"))
            result.note(await spent(post(UNIVERSAL, stray), 400, name="provider of a step"))
            result.note(await spent(post(UNIVERSAL, injected), 400, name="header of a step"))
            result.note(await spent(post(CHAT, b"{}", b"cf-aig-event-id: %0300d" % number), 400, name="event id"))
            result.note(await spent(post(f"/v1/g{number}/main/openai/x", b"{}"), 404, name="account"))

    return await _by_some(edge, work)


async def _by_some(edge: Edge, work: Work) -> Result:
    result = Result()
    clients = [await edge.connect() for _ in range(_AT_ONCE)]
    await asyncio.gather(*[work(client, first, result) for first, client in enumerate(clients)])
    for client in clients:
        await client.close()
    return result
