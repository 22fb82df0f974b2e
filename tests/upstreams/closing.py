"""
Closing: a provider that closes idle connections whenever it likes, as load balancers do.

It decides after a random moment without a request, and closes a moment later, as if the news had to travel. What has
come by then is not read: whoever sent it learns of the end only. So each call that it notes was read and answered
once, and `crossed` counts the requests that met a connection on its way out.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time

from tests.fakes.origin import Call, answer

IDLE_S_MAX = 0.004
NEWS_TRAVELS_S = 0.001
CLOSING_SHARE = 0.5
_RESET = struct.pack("ii", 1, 0)
EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'


class ClosingProvider:
    """The script of an origin."""

    def __init__(self, *, seed: int) -> None:
        self.crossed = 0
        self.closed = 0
        self._chance = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> None:
        """Answer, and perhaps close."""
        if b'"stream": true' in call.body:
            call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            call.send(b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT, 14, b"data: [DONE]\n\n"))
        else:
            call.send(answer(b'{"choices":[{"finish_reason":"stop"}]}'))
        with self._lock:
            is_closing, idle_s = self._chance.random() < CLOSING_SHARE, self._chance.uniform(0, IDLE_S_MAX)
            is_reset = self._chance.random() < 0.5
        if is_closing and not _is_readable(call.connection, idle_s):
            time.sleep(NEWS_TRAVELS_S)
            self._close(call, is_reset=is_reset)

    def _close(self, call: Call, *, is_reset: bool) -> None:
        with self._lock:
            self.closed += 1
            self.crossed += _is_readable(call.connection, 0)
        if is_reset:
            call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            call.connection.close()
        else:
            call.close()
        raise ConnectionAbortedError("this connection is over")


def _is_readable(connection: socket.socket, within_s: float) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(within_s * 1000))
