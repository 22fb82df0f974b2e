"""
Answers: what this edge knows of the cache.

The near cache answers without waiting. Everything else is a `Recall`: its question goes to the replica that owns the
key, its replies come here by its call's number. All is said without waiting, in batches with whatever else
leaves in that turn of the loop; a question that is not answered within 100 ms is a degraded miss.

When a replica's breaker opens, requests without bytes go on alone, and the others hold on as long as the session at
the other end still stands: a pause of a quarter of a second is no reason to break an answer. When the session is
gone, so is everything it knew. Hazard: the link tells only the first of the two, so while anything hangs on a link that
is not up, a timer looks after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from itertools import count

from services.contracts.cache.codec import UNTRACED_LOOKUP_BYTES
from services.contracts.cache.values import (
    CacheCall,
    CacheReply,
    Fill,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Leave,
    Lookup,
    Miss,
    RunEvents,
)
from services.edge.answers.budget import Budget
from services.edge.answers.line import Line
from services.edge.answers.near import NearCache
from services.edge.answers.recall import Recall
from services.edge.answers.runs import RunBuffers
from services.kit.clock import Clock
from services.kit.health import Dependencies, StoreBehind
from services.kit.rpc.link import Link, Links

LOOKUP_S_MAX = 0.1
RECALLS_MAX = 65_536
NEAR_BYTES_MAX = 16 * 1024 * 1024
HELD_BYTES_MAX = 128 * 1024 * 1024
"""Answers under way that this edge holds for its near cache, or for joiners that read slowly."""
LOOK_AFTER_EVERY_S = 0.02

_SHARED = (JoinChunk, JoinHead, JoinEnd)
"""Replies that are for many calls at once."""


class Answers:
    """
    The edge's side of `Exchange`: a `Listener` on its links, and a desk for recalls.

    The cache's store is reported to `dependencies` as its replies tell it.
    """

    def __init__(
        self,
        *,
        links: Links[CacheCall],
        clock: Clock,
        dependencies: Dependencies | None = None,
        near_bytes_max: int = NEAR_BYTES_MAX,
        held_bytes_max: int = HELD_BYTES_MAX,
    ) -> None:
        calls = count(1)
        self.now_s = clock.monotonic_s
        self.held = Budget(bytes_max=held_bytes_max)
        self.runs = RunBuffers(links=links, calls=calls)
        self.kept_near = NearCache(clock=clock, bytes_max=near_bytes_max)
        self.near = self.kept_near.get
        """The answer under a key, if this edge has it."""
        self._calls = calls
        self._links = links
        known = dependencies or Dependencies(clock=clock)
        self._store = StoreBehind(service="cache", dependencies=known, clock=clock)
        self.under_way: dict[int, Recall] = {}
        self._lines: dict[Link[CacheCall], Line] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def used_bytes(self) -> int:
        """What the near cache and all recalls under way hold."""
        return self.kept_near.used_bytes + self.held.used_bytes

    @property
    def recalls(self) -> int:
        """How many are under way."""
        return len(self.under_way)

    def recall(self, key: bytes, *, entry_bytes_max: int, traceparent: str = "") -> Recall:
        """Ask the cache service. A fill holds and stores at most `entry_bytes_max`."""
        call, link, under_way = next(self._calls), self._links.for_key(key), self.under_way
        lookup = Lookup(call, key, entry_bytes_max, traceparent)
        recall = Recall(self, lookup)
        if (
            link is not None
            and len(under_way) < RECALLS_MAX
            and link.send(
                lookup, key=call, deadline_s=LOOKUP_S_MAX, size_bytes=0 if traceparent else UNTRACED_LOOKUP_BYTES
            )
        ):
            recall.line = self._lines.get(link) or self._line(link)
            under_way[call] = recall
        else:
            recall.take(Miss(call, is_degraded=True))
        return recall

    def close(self) -> None:
        """Look after nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def opened(self, link: Link[CacheCall]) -> None:
        """See `Listener`: a new session knows nothing of the calls before it."""
        self._forget(link)

    def received(self, link: Link[CacheCall], items: Sequence[CacheReply]) -> None:
        """See `Listener`."""
        under_way = self.under_way
        for item in items:
            if isinstance(item, Fill):
                if item.is_degraded or self._store.is_down:
                    self._hear_of_store(item)
                if (recall := under_way.get(item.call)) is not None:
                    recall.fill(item)
                else:
                    self._give_back(link, item)
            elif isinstance(item, _SHARED):
                for call in item.calls:
                    if (recall := under_way.get(call)) is not None:
                        recall.take(item)
            elif isinstance(item, RunEvents):
                self.runs.answered(item)
            elif (recall := under_way.get(item.call)) is not None:
                recall.take(item)

    def expired(self, link: Link[CacheCall], keys: Sequence[Hashable]) -> None:
        """See `Listener`."""
        for key in keys:
            if isinstance(key, int):
                self._give_up(key)

    def lost(self, link: Link[CacheCall], keys: Sequence[Hashable]) -> None:
        """See `Listener`."""
        if not link.is_standing:
            self._forget(link)
        for recall in self._on(link):
            recall.lose_breaker()
        for key in keys:
            if isinstance(key, int):
                self._give_up(key)
        self.look_after_soon()

    def _hear_of_store(self, fill: Fill) -> None:
        """Whether the cache could ask its store who fills."""
        if fill.is_degraded:
            self._store.down()
        else:
            self._store.up()

    def _give_back(self, link: Link[CacheCall], fill: Fill) -> None:
        """Nobody here fills: another edge's request may."""
        line, leave = self._line(link), Leave(fill.call)
        if line.waiting or not link.send(leave, is_urgent=False):
            line.wait(leave)

    def _give_up(self, call: int) -> None:
        """A question was not answered in time, or will not be."""
        recall = self.under_way.get(call)
        if recall is None:
            self.runs.gave_up(call)
        else:
            recall.lose_patience()

    def _line(self, link: Link[CacheCall]) -> Line:
        line = self._lines.get(link)
        if line is None:
            line = self._lines[link] = Line(link, look_after=self.look_after_soon)
        return line

    def _on(self, link: Link[CacheCall]) -> list[Recall]:
        return [recall for recall in self.under_way.values() if recall.line is not None and recall.line.link is link]

    def _forget(self, link: Link[CacheCall]) -> None:
        """The session at the other end is gone."""
        line = self._lines.pop(link, None)
        if line is not None:
            line.forget()
        for recall in self._on(link):
            recall.lose_session()

    def look_after_soon(self) -> None:
        """Something may wait to be said, or hang on a link that is not up."""
        if self._timer is None and any(line.waiting or not line.link.is_up for line in self._lines.values()):
            self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER_EVERY_S, self._look_after)

    def _look_after(self) -> None:
        """Say what waits on links that take things again; give up what hangs on a session that is gone."""
        self._timer = None
        for link, line in list(self._lines.items()):
            if not link.is_standing:
                self._forget(link)
            else:
                line.say_waiting()
        self.look_after_soon()
