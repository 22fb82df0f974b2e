"""
Numbered: a provider that says in every piece of an answer which of its calls the piece belongs to.

So a body tells whether it is one answer or a mixture of two, which no count of calls can. A call can be held before
its head, before its first piece or in the middle, for as long as a test needs to do something to the gateway.
"""

from __future__ import annotations

import json
import re
import threading

from tests.fakes.origin import Call, Origin

BEFORE_ITS_HEAD = -1
"""Where a call may be held, as a number of pieces that have been sent."""
_SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LOOK_EVERY_S = 0.02


class NumberedProvider(Origin):
    """Answers chat completions, streamed and whole, in `pieces` pieces `pause_s` apart."""

    def __init__(self, *, pieces: int = 20, pause_s: float = 0.01) -> None:
        super().__init__(self._answer)
        self._pieces = pieces
        self._pause_s = pause_s
        self._first_piece_s = 0.0
        self._held: dict[int, int] = {}
        self._released = threading.Event()

    def begin(self, *, first_piece_s: float = 0.0, held: dict[int, int] | None = None) -> None:
        """
        Count calls from 1 again. Each sends its first piece after `first_piece_s`; `held` has, by the number of a
        call, after how many pieces it stops until `release`.
        """
        self.forget()
        self._first_piece_s = first_piece_s
        self._held = held or {}
        self._released = threading.Event()

    def release(self) -> None:
        """What is held goes on."""
        self._released.set()

    def _answer(self, call: Call) -> None:
        released = self._released
        is_stream = bool(json.loads(call.body).get("stream"))
        pieces = _events(call.number, self._pieces) if is_stream else _parts(call.number, self._pieces)
        held_after = self._held.get(call.number)
        _hold(call, released, is_held=held_after == BEFORE_ITS_HEAD)
        call.send(_SSE_HEAD if is_stream else _json_head(pieces))
        for number, piece in enumerate(pieces):
            _hold(call, released, is_held=held_after == number)
            call.wait(self._pause_s if number else self._first_piece_s)
            if call.gone_at is not None:
                return
            call.send(piece)


def calls_in(body: bytes) -> list[int]:
    """The numbers of the calls that a body has pieces of."""
    return sorted({int(number) for number in re.findall(rb"of call (\d+)", body)})


def _hold(call: Call, released: threading.Event, *, is_held: bool) -> None:
    while is_held and call.gone_at is None and not released.is_set():
        call.wait(_LOOK_EVERY_S)


def _events(number: int, count: int) -> list[bytes]:
    """Server-sent events, each a chunk, and the proper end."""
    contents = [f"piece {piece} of call {number} " for piece in range(count)]
    events = [f'data: {{"choices":[{{"delta":{{"content":"{content}"}}}}]}}\n\n'.encode() for content in contents]
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in (*events, b"data: [DONE]\n\n")]
    return [*chunks, b"0\r\n\r\n"]


def _parts(number: int, count: int) -> list[bytes]:
    """One JSON document, in parts."""
    contents = [f"piece {piece} of call {number} ".encode() for piece in range(count)]
    return [
        b'{"object":"chat.completion","choices":[{"message":{"content":"',
        *contents,
        b'"},"finish_reason":"stop"}]}',
    ]


def _json_head(parts: list[bytes]) -> bytes:
    length = sum(map(len, parts))
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
