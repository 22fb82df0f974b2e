"""
Apart: every service as its own process on this machine, with Redis and traces.

What `make apart` runs. It starts what the services lean on, then the services, each line of their output behind
the name of who said it, and stops all of them in the reverse order on ctrl-C or as soon as one of them
ends by itself. The addresses are the defaults of docs/settings.md.

Traces go to OTEL_EXPORTER_OTLP_ENDPOINT; if that is unset, to a `jaeger` from the PATH, which is started too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

NARROWS = Path(sys.executable).with_name("narrows")
STOP_S = 40
"""A service drains for up to NARROWS_DRAIN_S (30 s) and then flushes."""
BEHIND_THE_EDGE = {
    "NARROWS_ROUTER": "127.0.0.1:9001",
    "NARROWS_LIMITER": "127.0.0.1:9002",
    "NARROWS_CACHE": "127.0.0.1:9003",
    "NARROWS_ANALYTICS": "127.0.0.1:9004",
}
SIMULATOR = {"NARROWS_SIMULATOR": "http://127.0.0.1:8790"}


def unused_port() -> int:
    """A port that nobody has right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def services(redis_url: str) -> dict[str, dict[str, str]]:
    """Each target with its own environment, in the order in which they are started."""
    shared_state = {"NARROWS_REDIS_URL": redis_url}
    return {
        "simulator": {},
        "router": SIMULATOR,
        "limiter": shared_state,
        "cache": shared_state,
        "analytics": {},
        "edge": BEHIND_THE_EDGE,
    }


class Child:
    """One process whose output is repeated line by line behind its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, *, column: int) -> None:
        self.name = name
        self._process = process
        self._prefix = f"{name:<{column}} | "

    @classmethod
    async def start(cls, name: str, command: list[str], environment: Mapping[str, str], *, column: int = 9) -> Child:
        """Start it in a process group of its own: ctrl-C on the terminal is ours to pass on."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        return cls(name, process, column=column)

    async def follow(self) -> str:
        """Repeat its output until it ends; then who ended, and how."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            print(self._prefix + line.decode(errors="replace").rstrip("\n"), flush=True)
        return f"{self.name} ended with {await self._process.wait()}"

    async def stop(self) -> None:
        """Ask it to end; a process that does not is killed."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


async def start_redis(stack: AsyncExitStack) -> tuple[Child, str]:
    """A Redis of our own, in memory, on a port that nobody has."""
    port = unused_port()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="narrows-redis-"))
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
    command += ["--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]
    redis = await Child.start("redis", command, {})
    stack.push_async_callback(redis.stop)
    return redis, f"redis://127.0.0.1:{port}/0"


async def start_collector(stack: AsyncExitStack) -> tuple[Child | None, dict[str, str]]:
    """Where spans go: what the environment says, else a jaeger from the PATH, else nowhere."""
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None, {}
    if not shutil.which("jaeger"):
        print("traces: off (set OTEL_EXPORTER_OTLP_ENDPOINT, or put `jaeger` on the PATH)", flush=True)
        return None, {}
    collector = await Child.start("jaeger", ["jaeger"], {})
    stack.push_async_callback(collector.stop)
    print("traces: http://127.0.0.1:16686", flush=True)
    return collector, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


async def start_all(stack: AsyncExitStack, arguments: list[str]) -> list[Child]:
    """Everything; whatever was started is stopped by the stack."""
    redis, redis_url = await start_redis(stack)
    collector, traces = await start_collector(stack)
    children = [child for child in (redis, collector) if child]
    for target, environment in services(redis_url).items():
        resources = arguments if target == "router" else []
        command = [str(NARROWS), "run", "--target", target, *resources]
        child = await Child.start(target, command, {**traces, **environment})
        stack.push_async_callback(child.stop)
        children.append(child)
    return children


async def main() -> None:
    """Run until told to stop, or until one of them ends. Arguments (`--resources FILE`) go to the router."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    followers: list[asyncio.Task[str]] = []
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        children = await start_all(stack, sys.argv[1:])
        followers = [group.create_task(child.follow()) for child in children]
        stopper = group.create_task(told.wait())
        await asyncio.wait([stopper, *followers], return_when=asyncio.FIRST_COMPLETED)
        ended = [follower.result() for follower in followers if follower.done()]
        stopper.cancel()
    if ended and not told.is_set():
        sys.exit(f"{ended[0]}; stopped the others")


if __name__ == "__main__":
    asyncio.run(main())
