"""
Proxy: an operator's HTTP proxy that opens tunnels, and notes who asked for which.

It resolves names itself, by a table, as a proxy does that stands where the gateway has no DNS. Each tunnel is two
threads that copy octets.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on 127.0.0.1. `routes`: from `host:port` to the port here that a tunnel leads to."""

    def __init__(self, *, user: str, password: str) -> None:
        self.routes: dict[str, int] = {}
        self.asked: list[str] = []
        """What tunnels were asked for, with the right password."""
        self.refused = 0
        self._expected = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._sockets.add(client)
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536) or b"\r\n\r\n"
            self._answer(client, head)

    def _answer(self, client: socket.socket, head: bytes) -> None:
        line, *headers = head.split(b"\r\n")
        method, target, *_ = (*line.split(b" "), b"", b"")
        if b"Proxy-Authorization: " + self._expected not in headers:
            self.refused += 1
            client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        elif method != b"CONNECT" or target.decode() not in self.routes:
            client.sendall(b"HTTP/1.1 502 Unknown\r\nContent-Length: 0\r\n\r\n")
        else:
            self.asked.append(target.decode())
            self._tunnel(client, self.routes[target.decode()])

    def _tunnel(self, client: socket.socket, port: int) -> None:
        provider = socket.create_connection(("127.0.0.1", port))
        self._sockets.add(provider)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_copy, args=(provider, client), daemon=True).start()
        _copy(client, provider)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            sink.sendall(octets)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
