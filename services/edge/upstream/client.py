"""
Client: requests to providers, the fast way.

`send` is the whole of it: take an idle connection or open one, write, and return when the final head has come; a
small answer is whole by then. The pool knows where connections come from (pools.py, dialer.py), the connection what
happens on them (connection.py, reader.py), the answer is what the pipeline reads (answer.py).

Hazard: a provider may close an idle connection in the moment in which it is used. Then nothing of an answer has come,
and the request goes out once more on a new connection; the caller does not count that as an attempt. Only a request
whose body can be sent again is, and only once. A body that streams in exists once, so it gets a new connection
from the start.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.bounds import PoolBounds, UpstreamStats
from services.edge.upstream.dialer import Dialer
from services.edge.upstream.pools import ConnectionPools, OriginPool
from services.edge.upstream.proxies import ProxyRules
from services.edge.upstream.race import HEAD_START_S, Connect, connect_socket
from services.edge.upstream.request import UpstreamRequest
from services.edge.upstream.resolver import Resolver, SystemResolver
from services.edge.upstream.tls import SessionContext
from services.kit.clock import Clock
from services.kit.errors import UpstreamClosed


class UpstreamClient:
    """An async context manager; `send` works inside it. `tls` is what `client_context` made."""

    def __init__(
        self,
        *,
        clock: Clock,
        tls: SessionContext,
        proxies: ProxyRules | None = None,
        bounds: PoolBounds | None = None,
        resolver: Resolver | None = None,
        connect: Connect = connect_socket,
        head_start_s: float = HEAD_START_S,
    ) -> None:
        self._clock = clock
        self._monotonic_s = clock.monotonic_s
        self._bounds = bounds or PoolBounds()
        self._dialer = Dialer(
            resolver=resolver or SystemResolver(),
            connect=connect,
            tls=tls,
            proxies=proxies or ProxyRules(),
            head_start_s=head_start_s,
        )
        self._reuse_failures = 0

    async def __aenter__(self) -> UpstreamClient:
        self._loop = asyncio.get_running_loop()
        self._pools = ConnectionPools(dialer=self._dialer, bounds=self._bounds, clock=self._clock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; answers under way break."""
        await self._pools.close()

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """
        Send a request; returns when the final head has come.

        Raises ConnectTimeout, UpstreamUnreachable, UpstreamAddressRefused (no connection), UpstreamClosed (closed
        before the head was whole), UpstreamProtocolError, Overloaded, and what the body's own source raises. When it
        is cancelled, the connection closes at once.
        """
        pools = self._pools
        pool = pools.find(request.origin)
        if type(request.body) is not bytes:
            # It exists once, and must not meet a connection that has gone stale.
            pool.retire_oldest()
            connection = await pools.obtain(pool, timeout_s=request.connect_timeout_s, is_new=True)
        elif (taken := pool.take(self._monotonic_s())) is not None:
            connection = taken
        else:
            connection = await pools.obtain(pool, timeout_s=request.connect_timeout_s)
        answer = UpstreamAnswer(self._loop, connection)
        try:
            connection.start(request, answer)
            if answer.failure is None:
                await answer.wait()
        except BaseException:
            answer.abort()
            raise
        if answer.is_replaceable:
            self._reuse_failures += 1
            answer = await self._send_again(pool, request, answer)
        if answer.status:
            return answer
        answer.abort()
        raise answer.failure or UpstreamClosed("the provider gave no answer")

    def sweep(self) -> None:
        """Retire connections that were idle too long; a timer does it every few seconds."""
        self._pools.sweep(self._monotonic_s())

    def stats(self) -> UpstreamStats:
        """Counts for metrics."""
        return self._pools.stats(reuse_failures=self._reuse_failures)

    async def _send_again(self, pool: OriginPool, request: UpstreamRequest, failed: UpstreamAnswer) -> UpstreamAnswer:
        """On a new connection, from the start."""
        connection = await self._pools.obtain(pool, timeout_s=request.connect_timeout_s, is_new=True)
        answer = UpstreamAnswer(self._loop, connection)
        try:
            connection.start(request, answer, failed)
            if answer.failure is None:
                await answer.wait()
        except BaseException:
            answer.abort()
            raise
        return answer
