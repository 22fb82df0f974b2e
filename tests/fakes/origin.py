"""
Origin: a provider made of raw sockets, which records every octet it receives and answers every octet it is told to.

An HTTP library on this side would normalise what a gateway is judged by: header case, order and duplicates, framing,
when a connection ended. Each connection has a thread; a `script` answers each request by writing to it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Call:
    """
    One request as it arrived. Times are monotonic seconds. `gone_at`: the client closed before the answer was done.
    """

    number: int
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    arrived_at: float
    connection: socket.socket = field(repr=False)
    peer: int = 0
    gone_at: float | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        return next((value for known, value in self.headers if known.lower() == name), None)

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    def send(self, content: bytes) -> None:
        """Write octets to the gateway; a closed connection is noted, not raised."""
        try:
            self.connection.sendall(content)
        except OSError:
            self.gone_at = self.gone_at or time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait; returns True at once when the gateway closes meanwhile, and notes when."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(seconds * 1000):
            with contextlib.suppress(OSError):
                if self.connection.recv(1, socket.MSG_PEEK):
                    time.sleep(seconds)
                    return False
            self.gone_at = time.monotonic()
            return True
        return False

    def close(self) -> None:
        """End the connection from this side."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Script = Callable[[Call], None]


def answer(body: bytes = b"{}", *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A whole JSON answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    if not any(name.lower() == "content-type" for name, _ in headers):
        lines.insert(1, "Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Origin:
    """Listens on 127.0.0.1 unless told otherwise. `calls` holds what arrived, in order of arrival."""

    def __init__(
        self, script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = script
        self.opened = 0
        """Connections so far."""
        self.unread_s = 0.0
        """How long a request's body is not read."""
        self._tls = tls
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, port), backlog=1024)
        self._connections: set[socket.socket] = set()
        self._is_closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._listener.getsockname()[0]}:{self.port}"

    def forget(self) -> None:
        """Start an empty record."""
        with self._lock:
            self.calls = []

    def wait_for_calls(self, count: int, timeout_s: float = 5) -> list[Call]:
        """The first calls, as soon as there are so many."""
        deadline_s = time.monotonic() + timeout_s
        while len(self.calls) < count:
            assert time.monotonic() < deadline_s, f"{len(self.calls)} calls of {count} arrived within {timeout_s} s"
            time.sleep(0.005)
        return self.calls[:count]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.opened += 1
            threading.Thread(target=self._serve, args=(connection, address[1]), daemon=True).start()

    def _serve(self, connection: socket.socket, peer: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        self._connections.add(connection)
        try:
            with connection, connection.makefile("rb") as reader:
                while (call := self._read(reader, connection, peer)) is not None:
                    self.script(call)
        except (OSError, ValueError):
            return
        finally:
            self._connections.discard(connection)

    def _read(self, reader: object, connection: socket.socket, peer: int) -> Call | None:
        readline, read = reader.readline, reader.read  # type: ignore[attr-defined]
        line = readline()
        if not line:
            return None
        headers = []
        while (header := readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            headers.append((name, value.strip()))
        call = Call(0, line.rstrip(b"\r\n"), headers, b"", time.monotonic(), connection, peer)
        with self._lock:
            self.calls.append(call)
            call.number = len(self.calls)
        time.sleep(self.unread_s)
        call.body = _body(call, readline, read)
        return call


def _body(call: Call, readline: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    if (call.header(b"transfer-encoding") or b"").lower() == b"chunked":
        pieces = []
        while size := int(readline().split(b";")[0] or b"0", 16):
            pieces.append(read(size))
            readline()
        while readline() not in (b"\r\n", b""):
            pass
        return b"".join(pieces)
    return read(int(call.header(b"content-length") or 0))
