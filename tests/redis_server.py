"""
Real Redis servers for tests: started on a free port in a directory of their own, frozen, thawed, restarted.

Nothing is written to disk unless a test passes arguments that ask for it. A frozen server still accepts connections
(its kernel does) and answers nothing, which is what a stuck process looks like from outside.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.harness.processes import unused_port

EXECUTABLE = shutil.which("redis-server") or "/usr/bin/redis-server"


class RedisServer:
    """One redis-server process, as a context manager."""

    def __init__(self, directory: Path, *arguments: str, port: int | None = None) -> None:
        self._directory = directory
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or unused_port()
        self.credentials = ""
        """`user:password@` in the URL. As it is set up here the server takes any password of the user `default`."""

    @property
    def url(self) -> str:
        return f"redis://{self.credentials}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        command = [EXECUTABLE, *fixed, "--save", "", "--appendonly", "no", *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server did not start"
            assert self._process.poll() is None, "redis-server ended at once"
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, as a machine that loses power does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop it from running while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def command(self, *words: str) -> bytes:
        """Send one command over a connection of its own and return the first answer bytes."""
        line = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(line)
            return connection.recv(65536)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
