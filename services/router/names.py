"""
Names: what the hosts in base URLs resolve to now, best effort.

A resolver that hangs must not hold up a configuration: whoever has not answered in time is left out, and the edge asks
again at each connection anyway.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection

from services.router.resources.addresses import Resolved

RESOLVE_S_MAX = 0.3
HOSTS_MAX = 256
AT_ONCE_MAX = 8
"""A resolver that hangs keeps a thread for each name it was asked."""

Resolve = Callable[[Collection[str]], Awaitable[Resolved]]


async def resolve_names(hosts: Collection[str]) -> Resolved:
    """Name to addresses, for those that answered in time; literal addresses answer at once."""
    loop = asyncio.get_running_loop()
    wanted = sorted(hosts)[:HOSTS_MAX]
    turns = asyncio.Semaphore(AT_ONCE_MAX)
    asked = {host: loop.create_task(_addresses(host, turns), name=f"resolve {host}") for host in wanted}
    if not asked:
        return {}
    _, late = await asyncio.wait(asked.values(), timeout=RESOLVE_S_MAX)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return {host: task.result() for host, task in asked.items() if not task.cancelled()}


async def _addresses(host: str, turns: asyncio.Semaphore) -> tuple[str, ...]:
    try:
        async with turns:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
