"""
Streams: one edge's conversation, as the cache sees it.

A `Stream` is where replies to an edge go, and which of its calls are not over. Replies never wait; a peer that
does not read is cut off by the transport. Hits are the only replies that can be large all at once, a thousand
looked up in one message, so they leave at a pace: what is over it waits here, bounded, and the service sends
it on soon after. Hazard: a large hit travels in parts, and other replies may stand between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from services.cache.limits import Limits
from services.cache.store.answers import Entry, Found
from services.contracts.cache.values import CacheReply, Hit, HitPart, Join, Miss
from services.kit.clock import Clock
from services.kit.names import Attribute
from services.kit.telemetry.tracing import Span

Reply = Callable[[CacheReply], None]

WAITING_PARTS_MAX = 4096
"""Parts of hits that wait for their turn on one stream."""


class Caller:
    """One request's call, until it has its answer. Compared by identity."""

    __slots__ = ("call", "entry_bytes_max", "key", "span", "stream")

    def __init__(
        self, call: int, key: bytes, *, entry_bytes_max: int, stream: Stream, span: Span | None = None
    ) -> None:
        self.call = call
        self.key = key
        self.entry_bytes_max = entry_bytes_max
        self.stream = stream
        self.span = span

    def end_span(self, result: str) -> None:
        """What the call was in (a lookup, later perhaps a fill) is done."""
        if self.span is not None:
            self.span.set(Attribute.CACHE_REPLY, result)
            self.span.end()
            self.span = None

    def over(self) -> None:
        """Nothing more is said to or by this call."""
        self.end_span("gone")
        if self.stream.callers.get(self.call) is self:
            del self.stream.callers[self.call]


class Stream:
    """Where replies to one edge go. `held_up` is called when hits are over the pace: `send_waiting` is wanted later."""

    def __init__(self, *, reply: Reply, clock: Clock, limits: Limits, held_up: Callable[[Stream], None]) -> None:
        self.callers: dict[int, Caller] = {}
        self.reply = reply
        self._monotonic_s = clock.monotonic_s
        self._limits = limits
        self._held_up = held_up
        self._waiting: deque[Hit | HitPart] = deque()
        self._paced_since_s = 0.0
        self._paced_bytes = 0

    def miss(self, caller: Caller, *, is_degraded: bool = False) -> None:
        """The caller goes on alone."""
        caller.end_span("miss")
        caller.over()
        self.reply(Miss(caller.call, is_degraded))

    def join(self, caller: Caller, *, is_degraded: bool) -> None:
        """The caller waits for another's answer."""
        caller.end_span("join")
        self.reply(Join(caller.call, is_degraded))

    def hit(self, caller: Caller, found: Found) -> None:
        """The caller gets the stored answer, as soon as the pace allows."""
        if len(self._waiting) >= WAITING_PARTS_MAX:
            self.miss(caller, is_degraded=True)
            return
        caller.end_span("hit")
        caller.over()
        self._waiting.extend(_parts(caller.call, found, self._limits.part_bytes_max))
        self.send_waiting()

    def send_waiting(self) -> None:
        """Send hits as far as the pace allows."""
        now_s = self._monotonic_s()
        if now_s - self._paced_since_s >= self._limits.hit_pause_s:
            self._paced_since_s, self._paced_bytes = now_s, 0
        while self._waiting and self._paced_bytes < self._limits.hit_bytes_max:
            part = self._waiting.popleft()
            self._paced_bytes += sum(map(len, part.chunks))
            self.reply(part)
        if self._waiting:
            self._held_up(self)


def _parts(call: int, found: Found, part_bytes_max: int) -> Iterator[Hit | HitPart]:
    """One hit, or a partial one and what follows it."""
    entry = found.entry
    if sum(map(len, entry.chunks)) <= part_bytes_max:
        yield _hit(call, found, entry.chunks, is_partial=False)
        return
    groups = list(_groups(entry, part_bytes_max))
    yield _hit(call, found, groups[0], is_partial=len(groups) > 1)
    for number, group in enumerate(groups[1:], start=2):
        yield HitPart(call, group, number == len(groups))


def _hit(call: int, found: Found, chunks: tuple[bytes, ...], *, is_partial: bool) -> Hit:
    entry = found.entry
    ttl_left_s = found.ttl_left_ms // 1000
    return Hit(call, entry.status, entry.headers, chunks, entry.facts, ttl_left_s, is_partial)


def _groups(entry: Entry, part_bytes_max: int) -> Iterator[tuple[bytes, ...]]:
    """The chunks in groups of at most that size, or of one chunk that is larger."""
    group: list[bytes] = []
    size_bytes = 0
    for chunk in entry.chunks:
        if group and size_bytes + len(chunk) > part_bytes_max:
            yield tuple(group)
            group, size_bytes = [], 0
        group.append(chunk)
        size_bytes += len(chunk)
    yield tuple(group)
