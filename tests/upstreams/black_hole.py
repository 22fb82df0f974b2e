"""
Black hole: an address at which connecting neither succeeds nor fails.

A listener whose queue is full drops what comes to it, as a firewall does that discards packets. It needs no rights
and no route, only that this machine has the address.
"""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType
from typing import Self

_QUEUE_MAX = 16


class BlackHole:
    """At this port of ::1, or of another address of the family."""

    def __init__(self, port: int, *, host: str = "::1") -> None:
        self._address = (host, port)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        listener = socket.socket(socket.AF_INET6)
        self._sockets.append(listener)
        listener.bind(self._address)
        listener.listen(0)
        for _ in range(_QUEUE_MAX):
            if not self._fits_one_more():
                return self
        raise AssertionError(f"{self._address} takes every connection, so it is no black hole")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._sockets:
            each.close()

    def _fits_one_more(self) -> bool:
        client = socket.socket(socket.AF_INET6)
        self._sockets.append(client)
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            client.connect(self._address)
            return True
        return False
