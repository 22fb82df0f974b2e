"""
A turnstile: a provider in a process of its own that notes when each request arrived, and answers at once.

Limits are judged by when requests reach a provider, so this one must be neither slow nor late: it has a process to
itself, says the same short answer to everybody, and asks the kernel when octets came, which is right also when the
process itself had to wait for a processor. The first part of a path is its *lane*: `POST /LANE/...` passes, `GET /LANE`
tells the moments of that lane's arrivals. They are on the machine's monotonic clock, the same for all processes.

`python -m tests.fakes.turnstile` prints the port it listens on and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from types import TracebackType
from typing import Final, Self, cast

import httptools
import uvloop

from tests.harness.processes import get_json

STOP_S = 5
ARRIVALS_MAX = 1_000_000
BACKLOG = 1024
READ_BYTES = 65_536
_SO_TIMESTAMPNS: Final = 35
"""Linux; Python's socket module does not name it. Set on the listener, and so on all its connections."""
_TIMESPEC = struct.Struct("qq")
_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"passed"}}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)


class Turnstile:
    """The process, as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def arrivals(self, lane: str) -> list[float]:
        """When each request of the lane arrived, in their order, in monotonic seconds."""
        return cast(list[float], get_json(f"{self.url}/{lane}"))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.fakes.turnstile"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate(timeout=STOP_S)


class _Connection:
    """One of the gateway's connections."""

    def __init__(self, connection: socket.socket, lanes: dict[str, list[float]]) -> None:
        self._socket = connection
        self._lanes = lanes
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._came_at_s = 0.0

    def read(self) -> None:
        """Called when there is something."""
        try:
            octets, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, socket.CMSG_SPACE(_TIMESPEC.size))
        except ConnectionError:
            octets = b""
        if octets:
            self._came_at_s = _came_at_s(ancillary)
            self._parser.feed_data(octets)
        else:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def on_message_begin(self) -> None:
        self._target = b""

    def on_url(self, octets: bytes) -> None:
        self._target += octets

    def on_headers_complete(self) -> None:
        """A request has arrived with its head, whatever becomes of its body."""
        if self._parser.get_method() != b"GET":
            self._lane().append(self._came_at_s)
            assert len(self._lane()) <= ARRIVALS_MAX, f"more than {ARRIVALS_MAX} requests arrived in one lane"

    def on_message_complete(self) -> None:
        """Answers are small enough for a socket's buffer, but for those that tell arrivals."""
        if self._parser.get_method() != b"GET":
            self._socket.sendall(_answer(_BODY))
            return
        self._socket.setblocking(True)
        self._socket.sendall(_answer(json.dumps(sorted(self._lane())).encode()))
        self._socket.setblocking(False)

    def _lane(self) -> list[float]:
        return self._lanes.setdefault(self._target.split(b"/")[1].decode(), [])


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _came_at_s(ancillary: list[tuple[int, int, bytes]]) -> float:
    """What the kernel says in wall time, on the monotonic clock."""
    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
    return time.monotonic() - (time.time() - seconds - nanoseconds / 1_000_000_000)


async def serve() -> None:
    """Until standard input ends, which it also does when the parent is gone."""
    lanes: dict[str, list[float]] = {}
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        listener.setblocking(False)

        def accept() -> None:
            connection, _ = listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop.add_reader(connection, _Connection(connection, lanes).read)

        loop.add_reader(listener, accept)
        print(listener.getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
