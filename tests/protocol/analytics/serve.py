"""Analytics as a process of its own: `python -m tests.protocol.analytics.serve FOLDER PORT`. Says where it listens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from services.analytics.module import open_analytics
from services.contracts.analytics.conversation import INGEST, QUERY, TAIL
from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.rpc.server import RpcServer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer


async def serve(folder: Path, port: int) -> None:
    clock = SystemClock()
    async with open_analytics(
        folder=folder,
        clock=clock,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=Dependencies(clock=clock),
    ) as analytics:
        server = RpcServer(f"127.0.0.1:{port}")
        server.add(INGEST, analytics.service)
        server.answer(QUERY, analytics.service.query)
        server.stream(TAIL, analytics.service.tail)
        async with server:
            print(server.port, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
