"""
Apart: every service as its own process on this machine, with Redis and traces.

What `make apart` runs. It starts what the services lean on, then the services, the edge last; repeats each line of
their output behind the name of who said it; and stops all of them in the reverse order on ctrl-C or as soon
as one of them ends by itself. The addresses are the defaults of docs/settings.md.

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
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

NARROWS = Path(sys.executable).with_name("narrows")
STOP_S = 40
"""A service drains for up to NARROWS_DRAIN_S (30 s) and then flushes."""
ASK_EVERY_S = 0.2
HEALTH_PORTS = {"simulator": 8795, "router": 8791, "limiter": 8792, "cache": 8793, "analytics": 8794}
BEHIND_THE_EDGE = {
    "NARROWS_ROUTER": "127.0.0.1:9001",
    "NARROWS_LIMITER": "127.0.0.1:9002",
    "NARROWS_CACHE": "127.0.0.1:9003",
    "NARROWS_ANALYTICS": "127.0.0.1:9004",
}
SIMULATOR = {"NARROWS_SIMULATOR": "http://127.0.0.1:8790"}


class Child:
    """One process whose output is repeated line by line behind its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        """Start it in a process group of its own: ctrl-C on the terminal is ours to pass on."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env={"NARROWS_LOG_FORMAT": "text", **os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        return cls(name, process)

    async def follow(self) -> int:
        """Repeat its output until it ends; its exit status."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            print(f"{self.name:<9} | {line.decode(errors='replace').rstrip()}", flush=True)
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end; a process that does not is killed."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class Deployment:
    """All processes, until one ends or somebody says so."""

    def __init__(self, group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
        self._group = group
        self._stack = stack
        self.over = asyncio.Event()
        self.fault = ""

    async def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start one more. Those started last are stopped first."""
        child = await Child.start(name, command, environment or {})
        self._stack.push_async_callback(child.stop)
        self._group.create_task(self._follow(child))

    def make_folder(self, prefix: str) -> str:
        """A folder that is gone afterwards."""
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))

    async def _follow(self, child: Child) -> None:
        status = await child.follow()
        if not self.over.is_set():
            self.fault = f"{child.name} ended with {status}; stopped the others"
            self.over.set()


async def start_all(deployment: Deployment, arguments: list[str]) -> None:
    """Everything, in the order in which it is needed. `arguments` are for the router."""
    redis = {"NARROWS_REDIS_URL": await start_redis(deployment)}
    traces = await start_collector(deployment)
    behind: dict[str, tuple[list[str], dict[str, str]]] = {
        "simulator": ([], {}),
        "router": (arguments, SIMULATOR),
        "limiter": ([], redis),
        "cache": ([], redis),
        "analytics": ([], {}),
    }
    for target, (own, environment) in behind.items():
        await deployment.start(target, [str(NARROWS), "run", "--target", target, *own], {**traces, **environment})
    await ready(HEALTH_PORTS.values())
    await deployment.start("edge", [str(NARROWS), "run", "--target", "edge"], {**traces, **BEHIND_THE_EDGE})


async def start_redis(deployment: Deployment) -> str:
    """A Redis of our own, in memory, on a port that nobody has; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", deployment.make_folder("narrows-")]
    await deployment.start(
        "redis", [*command, "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]
    )
    return f"redis://127.0.0.1:{port}/0"


async def start_collector(deployment: Deployment) -> dict[str, str]:
    """Where spans go: what the environment says, else a jaeger from the PATH, else nowhere."""
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return {}
    if not shutil.which("jaeger"):
        print("traces: off (set OTEL_EXPORTER_OTLP_ENDPOINT, or put `jaeger` on the PATH)", flush=True)
        return {}
    await deployment.start("jaeger", ["jaeger"])
    print("traces: http://127.0.0.1:16686", flush=True)
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


async def ready(ports: Iterable[int]) -> None:
    """Wait until each of them says that it is ready, on its health port."""
    for port in ports:
        while not await is_ready(port):
            await asyncio.sleep(ASK_EVERY_S)


async def is_ready(port: int) -> bool:
    """What `/readyz` says; nobody there means no."""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return b" 200 " in status
    return False


async def main() -> None:
    """Run until told to stop, or until one of them ends. Arguments (`--resources FILE`) go to the router."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        deployment = Deployment(group, stack)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, deployment.over.set)
        starting = group.create_task(start_all(deployment, sys.argv[1:]))
        await deployment.over.wait()
        starting.cancel()
    if deployment.fault:
        sys.exit(deployment.fault)


if __name__ == "__main__":
    asyncio.run(main())
