"""
Data port: where applications connect.

aiohttp's low-level server with its defaults corrected for a proxy: bodies are not decompressed, heads are bounded,
keep-alive is 75 s, connections are counted. Stopping is gentle: the listener stays while the word spreads, every
answer says `Connection: close`, and the port closes as soon as nothing is in flight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from aiohttp.web_server import Server

from services.edge.port.arrival import Arrival
from services.edge.port.bounds import PortBounds
from services.edge.port.connection import Connection
from services.edge.port.reply import Reply
from services.kit.errors import NarrowsError

_LOG = logging.getLogger("narrows.edge.port")
_BACKLOG = 4096

Answer = Callable[[Arrival], Awaitable[Reply]]
Refused = Callable[[NarrowsError], None]


class DataPort(Server):
    """
    Accepts connections and hands each request to `answer`.

    `refused` hears of what was refused before it was a request; `new_log_id` names such a refusal.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        connections_max: int,
        new_log_id: Callable[[], str],
        refused: Refused,
        bounds: PortBounds | None = None,
    ) -> None:
        self.bounds = bounds or PortBounds()
        super().__init__(
            cast(Any, answer),
            handler_cancellation=False,  # Connection cancels the handler itself, unless others wait for its work
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self.bounds.keep_alive_s,
            max_line_size=self.bounds.header_bytes,
            max_field_size=self.bounds.header_bytes,
            max_headers=self.bounds.headers,
            read_bufsize=self.bounds.buffered_bytes,
            tcp_keepalive=True,
        )
        self.answer = answer
        self.connections_max = connections_max
        self.new_log_id = new_log_id
        self.refused = refused
        self.is_draining = False
        self.is_closing = False
        """What is still being answered is cut now."""
        self.parting_count = 0
        """Connections that have their last answer, or were refused, and are not gone yet."""
        self.in_flight = 0
        """Requests that are being answered; each connection counts its own, in and out."""
        self._ended_count = 0
        self._has_ended = asyncio.Event()
        self._listener: asyncio.Server | None = None

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def connections(self) -> Any:
        """Every open connection, as a collection whose length is cheap."""
        return self._connections

    @property
    def is_full(self) -> bool:
        """The newest connection is one too many."""
        return len(self._connections) - self.parting_count > self.connections_max

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start accepting. Returns the address that was bound (port 0 asks for any). Raises OSError."""
        self._listener = await self._loop.create_server(self, host, port, backlog=_BACKLOG)
        bound: tuple[str, int] = self._listener.sockets[0].getsockname()[:2]
        return bound

    def request_ended(self) -> None:
        """One less is in flight, while the edge is stopping."""
        self._ended_count += 1
        self._has_ended.set()

    async def drain(self, timeout_s: float) -> None:
        """
        From now on every answer closes its connection; returns when nothing is in flight, at the latest after
        `timeout_s`.

        An open connection may have its next request on the way already, so while there are any, nothing is in flight
        only when nothing has come for a moment.
        """
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle()
                while self._connections:
                    ended_count = self._ended_count
                    await asyncio.sleep(self.bounds.quiet_s)
                    await self._idle()
                    if self._ended_count == ended_count:
                        return

    async def _idle(self) -> None:
        while self.in_flight:
            self._has_ended.clear()
            await self._has_ended.wait()

    async def aclose(self) -> None:
        """Stop accepting and close what is open; a request still running is cancelled, and its client told."""
        self.is_draining = self.is_closing = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            cast(Connection, connection).others = None
        await self.shutdown(timeout=0.1)

    def report_defect(self, error: BaseException | None) -> None:
        """Log a defect of ours with the place it came from, and without its text: a client's bytes may stand in it."""
        if error is None:
            _LOG.error("a request failed inside the gateway")
            return
        hidden = RuntimeError("its text is left out, because it may hold what a client sent")
        name = type(error).__name__
        _LOG.error(
            "a request failed inside the gateway: %s", name, exc_info=(type(hidden), hidden, error.__traceback__)
        )
