"""
The simulator as a module: an HTTP server that runs as long as its context.

`narrows run` starts it with port 0 and hands the URL it yields to the router; apart, it has a port of its own and
the router is told its URL by a setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from services.kit.clock import Clock
from services.simulator.server import Simulator, Sleep

# Stalled calls never end by themselves: a stop waits this long for the others.
_STOP_TIMEOUT_S: Final = 1.0

# Whatever the edge lets through, the simulator reads.
HEADER_BYTES_MAX: Final = 65_536


@asynccontextmanager
async def simulator(
    *, host: str = "127.0.0.1", port: int = 0, clock: Clock, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[str]:
    """Serve on that address (port 0: any that is free) and yield the URL, `http://host:port`."""
    server = web.Server(
        Simulator(clock=clock, sleep=sleep).respond,
        handler_cancellation=True,
        auto_decompress=False,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        access_log=None,
    )
    runner = web.ServerRunner(server, shutdown_timeout=_STOP_TIMEOUT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
    finally:
        await runner.cleanup()
