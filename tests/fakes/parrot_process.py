"""
A parrot in a process of its own, for tests that freeze it or kill it.

`python -m tests.fakes.parrot_process ADDRESS` prints the port it listens on and serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from services.kit.rpc.server import RpcServer
from tests.fakes.parrot import Parrot, conversation


async def serve(address: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = RpcServer(address)
    server.add(conversation(), Parrot())
    async with server:
        print(server.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
