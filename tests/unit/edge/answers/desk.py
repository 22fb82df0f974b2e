"""The cache as tests of recalls play it: a link that they open, break and answer on, and a clock that stands still."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

from services.contracts.cache.values import CacheCall, CacheReply, Join, JoinChunk, JoinHead
from services.edge.answers.answers import Answers
from services.edge.answers.held import BEHIND_BYTES_MIN
from services.edge.answers.recall import Recall
from services.kit.health import Dependencies
from tests.fakes.clock import FakeClock

KEY = b"k" * 32
HEADERS = ((b"Content-Type", b"text/plain"),)


class ScriptedLink:
    """A link and all links at once: takes what it is given while it is up."""

    address = "scripted"

    def __init__(self) -> None:
        self.is_up = True
        self.is_standing = True
        self.is_full = False
        self.sent: list[CacheCall] = []
        self.urgent: list[CacheCall] = []
        self.owed: dict[Hashable, float] = {}

    def send(
        self,
        item: CacheCall,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        if not self.is_up or self.is_full:
            return False
        self.sent.append(item)
        if is_urgent:
            self.urgent.append(item)
        if key is not None:
            self.owed[key] = deadline_s
        return True

    def forget(self, key: Hashable) -> None:
        self.owed.pop(key, None)

    def any(self) -> ScriptedLink | None:
        return self if self.is_up else None

    def for_key(self, key: bytes) -> ScriptedLink | None:
        return self.any()

    def all(self) -> Sequence[ScriptedLink]:
        return [self]


class Desk:
    """Answers on a scripted link."""

    def __init__(self, *, held_bytes_max: int = 4 * BEHIND_BYTES_MIN) -> None:
        self.link = ScriptedLink()
        self.clock = FakeClock()
        self.dependencies = Dependencies(clock=self.clock)
        self.answers = Answers(
            links=self.link,
            clock=self.clock,
            dependencies=self.dependencies,
            held_bytes_max=held_bytes_max,
        )

    def break_open(self) -> None:
        self.link.is_up = False
        self.answers.lost(self.link, list(self.link.owed))

    def close_breaker(self) -> None:
        self.link.is_up = True

    def lose(self) -> None:
        self.link.is_standing = False
        self.break_open()

    def said(self, kind: type[CacheCall]) -> list[CacheCall]:
        return [item for item in self.link.sent if isinstance(item, kind)]


def begin(desk: Desk, *told: Callable[[int], CacheReply], entry_bytes_max: int = 1_000) -> Recall:
    """A recall that was told this so far."""
    recall = desk.answers.recall(KEY, entry_bytes_max=entry_bytes_max)
    desk.answers.received(desk.link, [make(recall.call) for make in told])
    return recall


def joined(desk: Desk, *chunks: bytes) -> Recall:
    """A joiner that has these chunks to read, with their head."""
    recall = begin(desk, Join)
    call = (recall.call,)
    if chunks:
        desk.answers.received(desk.link, [JoinHead(call, 200, HEADERS), *[JoinChunk(call, chunk) for chunk in chunks]])
    return recall
