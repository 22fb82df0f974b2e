"""
Wires: what lies between processes, and can be made slow.

A wire listens on a port of its own and carries every octet to the port behind it, in both directions, as late as it is
told to be. All wires of a test run in one child process, so that what they carry does not disturb who measures.

`python -m tests.harness.wires` is that child. It reads commands as lines of JSON and answers each with a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import uvloop

HOST = "127.0.0.1"
PIECE_BYTES_MAX = 64 * 1024
PIECES_MAX = 1024
"""On their way in one direction of one connection; more are left unread."""


class Wires:
    """The child, as a context manager. Wires go by the name of what is behind them."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __name__]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.terminate()
        self._child.communicate(timeout=10)

    def lay(self, name: str, port: int) -> int:
        """A wire to that port; the port that it is reached at."""
        return self._command({"lay": name, "port": port})

    def delay(self, name: str, seconds: float) -> None:
        """From now on every octet arrives so much later, in each direction."""
        self._command({"delay": name, "seconds": seconds})

    def _command(self, command: dict[str, object]) -> int:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        return int(self._child.stdout.readline())


class _Wire:
    """All wires of one name."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self._carrying: set[asyncio.Task[None]] = set()

    async def lay(self, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
            await self._connect(reader, writer, port)

        server = await asyncio.start_server(connected, HOST, 0, limit=PIECE_BYTES_MAX)
        return int(server.sockets[0].getsockname()[1])

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Both directions, until both have ended or either breaks."""
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, port, limit=PIECE_BYTES_MAX)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, far_writer))
                tasks.create_task(self._carry(far_reader, writer))
        except* OSError:
            pass
        finally:
            writer.transport.abort()
            far_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Pieces keep their order when the delay changes."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_MAX)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deliver(pieces, writer))
            piece = b"-"
            while piece:
                piece = await reader.read(PIECE_BYTES_MAX)
                await pieces.put((time.monotonic() + self.delay_s, piece))

    async def _deliver(self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due_s, piece = await pieces.get()
            late_s = due_s - time.monotonic()
            if late_s > 0:
                await asyncio.sleep(late_s)
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()


async def _obey() -> None:
    """Commands, until there are no more."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    wires: dict[str, _Wire] = {}
    while line := await commands.readline():
        command = json.loads(line)
        port = 0
        if "lay" in command:
            port = await wires.setdefault(command["lay"], _Wire()).lay(command["port"])
        else:
            wires[command["delay"]].delay_s = command["seconds"]
        print(port, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_obey())
