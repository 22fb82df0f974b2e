"""
The journal: which calls arrived, with what, and how each ended.

Tests ask it what really reached the provider. It is bounded twice, in calls and in bytes of kept bodies; beyond
either the oldest call is forgotten. A session's count is that of all its calls, as long as one is remembered.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.kit.clock import Clock

CALLS_MAX: Final = 10_000
KEPT_BYTES_MAX: Final = 67_108_864
BODY_BYTES_MAX: Final = 65_536

Ended = Literal["done", "cut", "client_gone"]


@dataclass(slots=True)
class Call:
    """One call; `ended` is None while it goes on."""

    session: str
    number: int
    arrived_at_s: float
    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    body_size_bytes: int = 0
    ended: Ended | None = None
    ended_at_s: float | None = None


@dataclass(slots=True)
class _Session:
    count: int
    calls: deque[Call]


class Journal:
    """Calls by session, the oldest forgotten first."""

    def __init__(self, *, clock: Clock, calls_max: int = CALLS_MAX, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._clock = clock
        self._calls_max = calls_max
        self._kept_bytes_max = kept_bytes_max
        self._kept_bytes = 0
        self._calls: deque[Call] = deque()
        self._sessions: dict[str, _Session] = {}

    def arrived(self, session: str, method: str, path: str, headers: Sequence[tuple[str, str]]) -> Call:
        """A call has begun; its `number` counts from 1 in its session."""
        known = self._sessions.setdefault(session, _Session(0, deque()))
        known.count += 1
        call = Call(session, known.count, self._clock.wall_s(), method, path, headers)
        known.calls.append(call)
        self._calls.append(call)
        self._forget_beyond_bounds()
        return call

    def read(self, call: Call, body: bytes) -> None:
        """The call's body has arrived; its beginning is kept."""
        call.body = body[:BODY_BYTES_MAX]
        call.body_size_bytes = len(body)
        self._kept_bytes += len(call.body)
        self._forget_beyond_bounds()

    def ended(self, call: Call, how: Ended) -> None:
        """The call is over. The first word counts."""
        if call.ended is None:
            call.ended = how
            call.ended_at_s = self._clock.wall_s()

    def told(self, session: str) -> dict[str, Any]:
        """What `GET _calls` answers."""
        known = self._sessions.get(session, _Session(0, deque()))
        return {"session": session, "count": known.count, "calls": [_told(call) for call in known.calls]}

    def _forget_beyond_bounds(self) -> None:
        while len(self._calls) > self._calls_max or (self._kept_bytes > self._kept_bytes_max and len(self._calls) > 1):
            oldest = self._calls.popleft()
            self._kept_bytes -= len(oldest.body)
            oldest.body = b""
            session = self._sessions[oldest.session]
            session.calls.popleft()
            if not session.calls:
                del self._sessions[oldest.session]


def _told(call: Call) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": call.number,
        "arrived_at_s": call.arrived_at_s,
        "method": call.method,
        "path": call.path,
        "headers": [[name, value] for name, value in call.headers],
        "body_size_bytes": call.body_size_bytes,
        "ended": call.ended,
        "ended_at_s": call.ended_at_s,
    }
    try:
        told["body"] = call.body.decode("utf-8")
    except UnicodeDecodeError:
        told["body_base64"] = base64.b64encode(call.body).decode("ascii")
    return told
