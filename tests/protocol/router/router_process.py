"""
A router in a process of its own, for tests that freeze it or kill it.

`python -m tests.protocol.router.router_process ADDRESS RESOURCES` prints the port it listens on and serves until it is
terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from services.contracts.router.conversation import REPORT, WATCH
from services.kit.clock import SystemClock
from services.kit.rpc.server import RpcServer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.router.module import router_module
from services.router.settings import RouterSettings
from tests.unit.router.judging import KNOWN


async def serve(address: str, resources: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with router_module(
        settings=RouterSettings(resources=resources),
        clock=SystemClock(),
        tracer=NoTracer(),
        metrics=Metrics(),
        catalogue=KNOWN,
    ) as router:
        server = RpcServer(address)
        server.add(WATCH, router.remote_watch)
        server.add(REPORT, router.report)
        async with server:
            print(server.port, flush=True)
            await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
