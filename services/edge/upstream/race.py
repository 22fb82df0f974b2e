"""
Race: connect to the first of several addresses that answers (RFC 8305, "Happy Eyeballs").

A provider's IPv6 may be announced and broken. So addresses of both families take turns, each 250 ms behind the one
before or as soon as that one has failed, and the first connection that stands wins. Hazard: a loser may connect a
moment later; whatever ends the race, by winning, failing or being cancelled, every other socket is closed before it
returns.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest

from services.edge.upstream.resolver import Address

Connect = Callable[[Address], Awaitable[socket.socket]]

HEAD_START_S = 0.25
"""How long the address before gets alone; RFC 8305 recommends 250 ms."""
_KEEPALIVE_S = 60
_KEEPALIVE_PROBES = 5


async def race(addresses: Sequence[Address], connect: Connect, *, head_start_s: float = HEAD_START_S) -> socket.socket:
    """The first socket that connects. Raises the first address's OSError when all fail."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    waiting = deque(in_turns(addresses))
    running: list[asyncio.Task[socket.socket]] = []
    failures: list[BaseException] = []
    try:
        while waiting or running:
            if waiting:
                running.append(asyncio.ensure_future(connect(waiting.popleft())))
            await asyncio.wait(running, timeout=head_start_s if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task.done()]:
                running.remove(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                failures.append(failure)
    finally:
        await _close_losers(running)
    raise failures[0] if failures else OSError("the name has no addresses")


def in_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families in turns, each in its order; the resolver's first begins, since it knows which one has a route."""
    first = addresses[0].family if addresses else 0
    preferred = [address for address in addresses if address.family == first]
    others = [address for address in addresses if address.family != first]
    return [address for address in chain.from_iterable(zip_longest(preferred, others)) if address is not None]


async def connect_socket(address: Address) -> socket.socket:
    """A connected, non-blocking TCP socket without Nagle's delay. Raises OSError."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """A long answer may be silent for minutes; without probes a NAT in between forgets the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in (
        ("TCP_KEEPIDLE", _KEEPALIVE_S),
        ("TCP_KEEPINTVL", _KEEPALIVE_S),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, number)


async def _close_losers(running: list[asyncio.Task[socket.socket]]) -> None:
    for task in running:
        task.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()
