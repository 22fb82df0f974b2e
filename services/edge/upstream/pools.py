"""
Pools: the connections of all origins, within their bounds.

Each origin has its own idle connections, last used first, so that what is not needed grows old and retires. The
bounds are counted in slots: opening a connection takes one, its closing gives it back. When there is none, requests
wait in the order they came; a connection that becomes free goes to the first who waits for its origin, a slot to the
first of all who may use one.

Hazard: a waiting request can be cancelled in the very moment in which it is given something; then it is given on, or
a slot would be lost for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.edge.upstream.answer_form import AnswerForms
from services.edge.upstream.bounds import PoolBounds, UpstreamStats
from services.edge.upstream.connection import UpstreamConnection
from services.edge.upstream.dialer import Dialer, Route
from services.edge.upstream.origin import Origin
from services.kit.clock import Clock
from services.kit.errors import Overloaded, UpstreamClosed

_SWEEP_S = 5.0

Gift = asyncio.Future[UpstreamConnection | None]
"""A connection, or None: a slot to open one."""


class OriginPool:
    """The connections of one origin. `open_count` counts slots: connections being opened, busy and idle."""

    __slots__ = (
        "_age_s",
        "_idle_s",
        "_pools",
        "connections",
        "forms",
        "idle",
        "open_count",
        "rewrite",
        "route",
        "waiting",
    )

    def __init__(self, pools: ConnectionPools, route: Route) -> None:
        self._pools = pools
        self._idle_s = pools.bounds.idle_s
        self._age_s = pools.bounds.age_s
        self.route = route
        self.rewrite = route.rewrite
        self.forms = AnswerForms()
        self.idle: dict[UpstreamConnection, None] = {}
        """Insertion order is the order of release, so the last one is the warmest and the first the oldest."""
        self.connections: set[UpstreamConnection] = set()
        self.waiting: dict[Gift, int] = {}
        """With the ticket each drew on coming."""
        self.open_count = 0

    @property
    def spawn(self) -> Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]:
        """See ConnectionPools."""
        return self._pools.spawn

    def take(self, now_s: float) -> UpstreamConnection | None:
        """The warmest idle connection that still stands."""
        idle = self.idle
        while idle:
            connection = idle.popitem()[0]
            if connection.is_usable(now_s, self._idle_s, self._age_s):
                return connection
            connection.abort()
        return None

    def retire_oldest(self) -> None:
        """Close the idle connection that is needed least, so that whoever opens a new one does not add to them."""
        for connection in self.idle:
            del self.idle[connection]
            connection.abort()
            return

    def release(self, connection: UpstreamConnection) -> None:
        """A connection that can be used again; idle, where nobody waits for any and there is nothing to note of it."""
        pools = self._pools
        if connection.exchanges > 1 and not pools.is_in_demand:
            self.idle[connection] = None
        else:
            pools.release(self, connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection has closed. One that closed before it was ours is counted by whoever was opening it."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.idle.pop(connection, None)
            self._pools.free_slot(self)


class ConnectionPools:
    """All pools and the bounds over them. Made inside a running loop; `close` ends every connection and task."""

    def __init__(self, *, dialer: Dialer, bounds: PoolBounds, clock: Clock) -> None:
        self.bounds = bounds
        self._dialer = dialer
        self._monotonic_s = clock.monotonic_s
        self._loop = asyncio.get_running_loop()
        self._pools: dict[Origin, OriginPool] = {}
        self._waiting: dict[OriginPool, None] = {}
        """Pools in which someone waits."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._tickets = 0
        self._open_count = self._opened = self._waits = self._shed = 0
        self._closed: asyncio.Future[None] | None = None
        self.is_in_demand = False
        """A connection that becomes free may have to go to somebody, or must not stay."""
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep_again)

    def find(self, origin: Origin) -> OriginPool:
        """The pool of an origin, made on first use. Raises UpstreamAddressRefused."""
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = OriginPool(self, self._dialer.route(origin))
        return pool

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task for a body that streams in; ended by `close` at the latest."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def obtain(self, pool: OriginPool, *, timeout_s: float, is_new: bool = False) -> UpstreamConnection:
        """
        A connection when none is idle: a new one, or, unless `is_new`, one that becomes free while waiting for a slot.

        Raises Overloaded, ConnectTimeout and the dialer's errors. `timeout_s` is for connecting, not for waiting.
        """
        connection = None if self._claim_slot(pool) else await self._wait(pool)
        if connection is not None and is_new:
            self._give_way(pool, connection)
            connection = None
        return connection or await self._open(pool, timeout_s=timeout_s)

    def release(self, pool: OriginPool, connection: UpstreamConnection) -> None:
        """To the first who waits for this origin; else idle, unless its slot is needed elsewhere."""
        if connection.exchanges == 1:
            self._keep_session(connection)
        gift = self._next_gift(pool)
        if gift is not None:
            gift.set_result(connection)
        elif self._closed is not None or (self._waiting and self._is_full()):
            connection.abort()
        else:
            pool.idle[connection] = None

    def free_slot(self, pool: OriginPool) -> None:
        """A connection is gone: whoever waits longest and may open one to its origin gets the slot."""
        pool.open_count -= 1
        self._open_count -= 1
        while not self._is_full():
            eligible = [waiting for waiting in self._waiting if not self._is_pool_full(waiting)]
            if not eligible:
                break
            first = min(eligible, key=lambda waiting: next(iter(waiting.waiting.values())))
            gift = self._next_gift(first)
            if gift is not None:
                self._claim_slot(first)
                gift.set_result(None)
        if self._closed is not None and not self._closed.done() and not self._has_connections():
            self._closed.set_result(None)

    def sweep(self, now_s: float) -> None:
        """Retire connections that were idle too long, and forget pools that nobody uses."""
        for origin, pool in list(self._pools.items()):
            for connection in list(pool.idle):
                if now_s - connection.idle_since_s < self.bounds.idle_s:
                    break
                del pool.idle[connection]
                connection.abort()
            if not pool.open_count and not pool.waiting:
                del self._pools[origin]

    def stats(self, *, reuse_failures: int) -> UpstreamStats:
        """Now, and since the start."""
        pools = self._pools.values()
        return UpstreamStats(
            open=self._open_count,
            idle=sum(len(pool.idle) for pool in pools),
            waiting=sum(len(pool.waiting) for pool in pools),
            opened=self._opened,
            waits=self._waits,
            reuse_failures=reuse_failures,
            shed=self._shed,
        )

    async def close(self) -> None:
        """End everything and wait until it has ended."""
        self._sweep_timer.cancel()
        self._closed = self._loop.create_future()
        self.is_in_demand = True
        for pool in list(self._pools.values()):
            while (gift := self._next_gift(pool)) is not None:
                gift.set_exception(Overloaded("the edge is stopping"))
            for connection in list(pool.connections):
                connection.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._has_connections():
            await self._closed

    async def _open(self, pool: OriginPool, *, timeout_s: float) -> UpstreamConnection:
        """Use a slot that was claimed."""
        connection = UpstreamConnection(
            keeper=pool, rewrite=pool.rewrite, loop=self._loop, monotonic_s=self._monotonic_s
        )
        try:
            await self._dialer.dial(pool.route, lambda: connection, timeout_s=timeout_s)
        except BaseException:
            self.free_slot(pool)
            raise
        if connection.is_lost or self._closed is not None:
            connection.abort()
            self.free_slot(pool)
            raise UpstreamClosed(f"{pool.route.origin}: the connection closed as soon as it stood")
        pool.connections.add(connection)
        self._opened += 1
        return connection

    def _give_way(self, pool: OriginPool, connection: UpstreamConnection) -> None:
        """Close a connection so that a new one takes its place: for the moment until it is gone, both count."""
        pool.open_count += 1
        self._open_count += 1
        connection.abort()

    async def _wait(self, pool: OriginPool) -> UpstreamConnection | None:
        """In line for a connection (returned) or a slot (None)."""
        if sum(len(waiting.waiting) for waiting in self._waiting) >= self.bounds.waiting_max:
            raise self._overloaded(pool)
        self._waits += 1
        gift: Gift = self._loop.create_future()
        self._tickets += 1
        pool.waiting[gift] = self._tickets
        self._waiting[pool] = None
        self.is_in_demand = True
        self._retire_one_for(pool)
        try:
            async with asyncio.timeout(self.bounds.wait_s):
                return await gift
        except TimeoutError:
            self._give_on(pool, gift)
            raise self._overloaded(pool) from None
        except BaseException:
            self._give_on(pool, gift)
            raise

    def _give_on(self, pool: OriginPool, gift: Gift) -> None:
        """Who waited has left: out of the line, and what was given in that very moment goes to the next."""
        self._leave_line(pool, gift)
        if not gift.done() or gift.cancelled() or gift.exception() is not None:
            return
        connection = gift.result()
        if connection is None:
            self.free_slot(pool)
        else:
            self.release(pool, connection)

    def _next_gift(self, pool: OriginPool) -> Gift | None:
        """Takes the first who still waits out of the line."""
        while pool.waiting:
            gift = next(iter(pool.waiting))
            self._leave_line(pool, gift)
            if not gift.done():
                return gift
        return None

    def _leave_line(self, pool: OriginPool, gift: Gift) -> None:
        pool.waiting.pop(gift, None)
        if not pool.waiting:
            self._waiting.pop(pool, None)
            self.is_in_demand = bool(self._waiting) or self._closed is not None

    def _claim_slot(self, pool: OriginPool) -> bool:
        if self._is_full() or self._is_pool_full(pool):
            return False
        pool.open_count += 1
        self._open_count += 1
        return True

    def _is_full(self) -> bool:
        return self._open_count >= self.bounds.connections_max

    def _is_pool_full(self, pool: OriginPool) -> bool:
        return pool.open_count >= self.bounds.connections_per_origin_max

    def _retire_one_for(self, pool: OriginPool) -> None:
        """Someone waits: the idle connection that is needed least gives its slot up."""
        pools = [pool] if self._is_pool_full(pool) else self._pools.values()
        oldest = [next(iter(candidate.idle)) for candidate in pools if candidate.idle]
        if oldest:
            connection = min(oldest, key=lambda candidate: candidate.idle_since_s)
            connection.abort()

    def _overloaded(self, pool: OriginPool) -> Overloaded:
        self._shed += 1
        return Overloaded(f"no connection to {pool.route.origin} is free", retry_after_s=1)

    def _keep_session(self, connection: UpstreamConnection) -> None:
        tls = connection.tls
        if tls is not None:
            self._dialer.tls.keep_session(tls)

    def _has_connections(self) -> bool:
        return any(pool.connections for pool in self._pools.values())

    def _sweep_again(self) -> None:
        self.sweep(self._monotonic_s())
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep_again)
