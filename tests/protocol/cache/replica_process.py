"""
A cache replica in a process of its own, for tests that freeze it or kill it.

`python -m tests.protocol.cache.replica_process ADDRESS` prints its port and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from services.cache.module import open_cache
from services.contracts.cache.conversation import EXCHANGE
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.server import RpcServer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer


async def serve(address: str) -> None:
    clock = SystemClock()
    opening = open_cache(
        redis_url=None,
        instance=address,
        clock=clock,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=Dependencies(clock=clock),
    )
    async with opening as service:
        server = RpcServer(address)
        server.add(EXCHANGE, service)
        async with server:
            print(server.port, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
