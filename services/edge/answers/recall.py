"""
A recall: one request's conversation with the cache.

It begins with a question and goes one of four ways. A hit or a miss ends it. `Fill`: this request asks the provider and
says what it gets, with `head`, `chunk` and `end`. `Join`: another request is asking, and `next` brings its answer as
it comes; a joiner without bytes may still be made the filler.

Saying never waits, and a request loses nothing when the cache is lost: a filler goes on for its own client and the
near cache, a joiner without bytes goes on alone. Only a joiner that has bytes cannot: its answer ends broken. A client
that leaves need not end a fill: while `has_joiners`, others wait for its answer.

There is no task, and one future: the answer to the question. Hazard: whoever begins a recall ends it, with `end` or
`leave`, also when cancelled. Both may be called again and do nothing then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from services.contracts.cache.codec import reply_size_bytes, whole_size_bytes
from services.contracts.cache.values import (
    CacheCall,
    Fill,
    FillChunks,
    FillEnd,
    FillHead,
    FillWhole,
    HeaderPairs,
    Hit,
    HitPart,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Leave,
    Lookup,
    Miss,
    Outcome,
    Watched,
)
from services.edge.answers.budget import Budget
from services.edge.answers.held import Copy, Next, Unread
from services.edge.answers.line import Line
from services.edge.answers.near import NearCache

First = Hit | Fill | Join | Miss
Told = Hit | Join | Miss | HitPart | Watched | JoinHead | JoinChunk | JoinEnd
Role = Literal["asking", "joining", "following", "filling", "over"]

CHUNK_BYTES_MAX = 1024 * 1024
"""A longer piece of an answer is said in several, because a message holds no more."""

FOLLOWED_BYTES_MAX = 16 * 1024 * 1024
"""A longer answer that may not be kept is for its own client alone: whoever reads it slowly would be cut off."""
FOLLOWED_BYTES_PER_S = 32 * 1024 * 1024
FOLLOWED_AT_ONCE_BYTES = 4 * 1024 * 1024
"""Beyond these a filler whose answer others follow waits a little: they cannot say that it is too fast for them."""

UNSAID_BYTES_MAX = 16 * 1024
UNSAID_S_MAX = 0.02
"""What nobody has joined is said some chunks at a time, unless the last ones were said that long ago: so the cache
never takes a filler for more silent than it is."""


class Desk(Protocol):
    """What a recall needs of `Answers`."""

    held: Budget
    kept_near: NearCache
    under_way: dict[int, Recall]
    """Who has replies to come, by the call's number. A recall that has ended takes itself out."""

    def now_s(self) -> float:
        """Monotonic."""
        ...


class Recall:
    """
    One request's way through the cache.

    Most are answered with `Fill` and end with `whole`. What others need beyond that has its beginning in the class.
    """

    role: Role = "asking"
    line: Line | None = None
    """None where there is nobody to talk to."""
    has_joiners = False
    """For a filler: others wait for this answer."""
    _unwatched: Callable[[], object] | None = None
    """Only while `has_joiners`."""
    _is_heard = True
    """All that was said so far reaches the cache service."""

    _head: FillHead | None = None
    _copy: Copy | None = None
    """Of a filler whose answer streams, and only as long as it fills."""
    _unsaid: list[bytes]
    _unsaid_bytes = 0
    _said_at_s = 0.0
    _paced_until_s = 0.0
    """What others follow was said by then, at the pace for it."""

    _unread: Unread | None = None
    """Of a joiner."""
    _waiter: asyncio.Future[None] | None = None
    _parts: Hit | None = None

    def __init__(self, desk: Desk, lookup: Lookup) -> None:
        self.call = lookup.call
        self.first: asyncio.Future[First] = asyncio.get_running_loop().create_future()
        """What the cache says; a degraded miss if it says nothing within 100 ms."""
        self._desk = desk
        self._lookup = lookup

    async def next(self, *, timeout_s: float | None = None) -> Next:
        """
        For a joiner: the head, then chunks, then the end; or `Fill` or a miss instead of a head.

        Raises TimeoutError when nothing comes for that long.
        """
        unread = self._unread
        assert unread is not None, "only a joiner has a next item"
        if not unread:
            async with asyncio.timeout(timeout_s):
                while not unread:
                    await self._changed()
        return unread.pop()

    def whole(self, status: int, headers: HeaderPairs, chunks: Sequence[bytes], ttl_s: int, facts: str) -> None:
        """
        The filler's answer, all of it: as `head`, `chunk` and `end` with a whole answer, said in one item if it fits.

        What it takes in a message is counted once, for the bounds, the near cache and the link.
        """
        lookup, kept = self._lookup, tuple(filter(None, chunks))
        whole = FillWhole(self.call, status, headers, kept, ttl_s, facts, lookup.traceparent)
        size_bytes = whole_size_bytes(whole)
        is_one_item = size_bytes <= CHUNK_BYTES_MAX and size_bytes <= lookup.entry_bytes_max
        if not is_one_item or self.role != "filling" or self._head is not None:
            self.head(status, headers, ttl_s)
            for chunk in chunks:
                self.chunk(chunk)
            self.end("whole", facts)
            return
        self._desk.kept_near.put(lookup.key, Hit(0, status, headers, kept, facts, ttl_s), size_bytes)
        self._say(whole, size_bytes)
        self._over()

    def head(self, status: int, headers: HeaderPairs, ttl_s: int, facts: str = "") -> None:
        """The filler's answer begins. `headers`: those of it that may be stored."""
        if self.role == "filling" and self._head is None:
            lookup = self._lookup
            if _length_bytes(headers) > max(FOLLOWED_BYTES_MAX, lookup.entry_bytes_max):
                self.end("uncacheable")
                return
            self._head = FillHead(self.call, status, headers, ttl_s, facts, lookup.traceparent)
            self._copy = Copy(self._desk.held, bytes_max=lookup.entry_bytes_max)
            self._unsaid = []
            self._said_at_s = self._desk.now_s()
            self._say(self._head)

    def chunk(self, chunk: bytes) -> None:
        """The filler's next bytes, as they came."""
        if self._copy is None or not chunk:
            return
        self._unsaid.append(chunk)
        self._unsaid_bytes = unsaid_bytes = self._unsaid_bytes + len(chunk)
        if self.has_joiners or unsaid_bytes > UNSAID_BYTES_MAX:
            self._say_chunks()
        elif (now_s := self._desk.now_s()) >= self._said_at_s + UNSAID_S_MAX:
            self._said_at_s = now_s
            self._say_chunks()

    @property
    def ahead_s(self) -> float:
        """For a filler: how long to wait until it says more, so that those who follow its answer keep up."""
        if not self.has_joiners:
            return 0.0
        at_once_s = FOLLOWED_AT_ONCE_BYTES / FOLLOWED_BYTES_PER_S
        return max(0.0, self._paced_until_s - self._desk.now_s() - at_once_s)

    def end(self, outcome: Outcome, facts: str = "") -> None:
        """The filler is done. A whole answer is in the near cache when this returns."""
        if self.role != "filling":
            return
        if self._head is None and outcome == "whole":
            outcome = "uncacheable"
        self._say_chunks()
        if self._head is not None and self._copy is not None and outcome == "whole":
            near = self._copy.hit(self._head, facts)
            if near is not None:
                self._desk.kept_near.put(self._lookup.key, near, reply_size_bytes(near))
        if not self._is_heard:
            self._is_heard = True
            outcome = "failed"
        self._say(FillEnd(self.call, outcome, facts))
        self._over()

    def leave(self) -> None:
        """The request needs the cache no more. A filler's unfinished answer has failed."""
        if self.role != "over":
            self._give_up()
        if self._unread is not None:
            self._unread.let_go()

    def _give_up(self) -> None:
        if self.role == "filling":
            self.end("failed")
            return
        if self.role == "asking" and self.line is not None:
            self.line.link.forget(self.call)
        self._say(Leave(self.call))
        self._over()

    def when_unwatched(self, call: Callable[[], object]) -> None:
        """For a filler whose own client has left: call this once, as soon as nobody waits for its answer."""
        if self.has_joiners:
            self._unwatched = call
        else:
            call()

    def fill(self, item: Fill) -> None:
        """The cache service says that this request fills: what it says to most."""
        if self.role != "asking":
            self._take_turn(item)
            return
        self.role = "filling"
        if not self.first.done():
            self.first.set_result(item)

    def take(self, item: Told) -> None:
        """Any other reply of the cache service."""
        match item:
            case Miss() | Join():
                self._take_turn(item)
            case JoinChunk():
                self._take_chunk(item)
            case JoinHead():
                if self.role == "joining":
                    self.role = "following"
                    self._put(item)
            case JoinEnd():
                if self.role in ("joining", "following"):
                    self._put(item)
                    self._over()
            case Watched():
                self._take_watched(is_watched=item.is_watched)
            case Hit() | HitPart():
                self._take_hit(item)

    def lose_patience(self) -> None:
        """Nothing came for 100 ms. A hit whose first part has come is waited for: the rest is on its way."""
        if self.role == "asking" and self._parts is None:
            self.lose_breaker()

    def lose_breaker(self) -> None:
        """The replica says nothing for a while: whoever has no bytes goes on without it, the others hold on."""
        if self.role in ("asking", "joining"):
            self._say(Leave(self.call))
            self._take_turn(Miss(self.call, is_degraded=True))

    def lose_session(self) -> None:
        """The replica has forgotten this call."""
        self.line = None
        if self.role in ("asking", "joining"):
            self._take_turn(Miss(self.call, is_degraded=True))
        elif self.role == "following":
            self._break_off()
        elif self.role == "filling":
            self._take_watched(is_watched=False)

    def _take_turn(self, item: Fill | Join | Miss) -> None:
        """The first answer, or a joiner's turn to fill or to go on alone."""
        if self.role == "asking":
            if isinstance(item, Join):
                self._unread = Unread(self._desk.held, bytes_max=self._lookup.entry_bytes_max)
            self._answer(item)
        elif self.role == "joining" and not isinstance(item, Join):
            self._put(item)
        else:
            return
        if isinstance(item, Miss):
            self._over()
        else:
            self.role = "filling" if isinstance(item, Fill) else "joining"

    def _take_hit(self, item: Hit | HitPart) -> None:
        """A hit, whole or in parts; for a joiner it is the answer it waits for, already at its end."""
        hit = item if isinstance(item, Hit) else _with_part(self._parts, item)
        if hit is None or hit.is_partial:
            self._parts = hit
            return
        self._desk.kept_near.put(self._lookup.key, hit, reply_size_bytes(hit))
        if self.role == "asking":
            self._answer(hit)
            self._over()
        elif self.role == "joining":
            self.role = "following"
            self._put(JoinHead((self.call,), hit.status, hit.headers, hit.facts))
            for chunk in hit.chunks:
                self._take_chunk(JoinChunk((self.call,), chunk))
            self.take(JoinEnd((self.call,), "whole", hit.facts))

    def _take_chunk(self, item: JoinChunk) -> None:
        """The next bytes. A request that is too far behind is cut off."""
        if self.role != "following":
            return
        if self._unread is not None and self._unread.put_chunk(item):
            self._wake()
        else:
            self._say(Leave(self.call))
            self._break_off()

    def _take_watched(self, *, is_watched: bool) -> None:
        self.has_joiners = is_watched
        if is_watched:
            self._say_chunks()
        if not is_watched and self._unwatched is not None:
            call, self._unwatched = self._unwatched, None
            call()

    def _break_off(self) -> None:
        self._put(JoinEnd((self.call,), "failed", ""))
        self._over()

    def _say_chunks(self) -> None:
        """Say the chunks that waited for company; one too long for a message in pieces."""
        size_bytes = self._unsaid_bytes
        if self._copy is None or not size_bytes:
            return
        unsaid = tuple(self._unsaid)
        self._unsaid, self._unsaid_bytes = [], 0
        self._copy.add(unsaid, size_bytes)
        if self.has_joiners:
            self._paced_until_s = max(self._paced_until_s, self._desk.now_s()) + size_bytes / FOLLOWED_BYTES_PER_S
        if size_bytes <= CHUNK_BYTES_MAX:
            self._say(FillChunks(self.call, unsaid))
            return
        for chunk in unsaid:
            for start in range(0, len(chunk), CHUNK_BYTES_MAX):
                self._say(FillChunks(self.call, (chunk[start : start + CHUNK_BYTES_MAX],)))

    def _say(self, item: CacheCall, size_bytes: int = 0) -> None:
        """
        Say it, unless something before it was lost: of an answer with a hole only the end is said, as failed.

        What nobody has joined can leave a little later, in company.
        """
        line = self.line
        if line is None or not self._is_heard:
            return
        if line.waiting or not line.link.send(item, is_urgent=self.has_joiners, size_bytes=size_bytes):
            self._is_heard = line.wait(item)

    def _over(self) -> None:
        """No more is said or heard; a joiner may still read what has come."""
        self.role = "over"
        if self.has_joiners:
            self.has_joiners, self._unwatched = False, None
        if self._copy is not None:
            self._copy.let_go()
            self._copy = None
        self._desk.under_way.pop(self.call, None)

    def _answer(self, item: First) -> None:
        """To the question. Nobody waits for it any more when the request was cancelled."""
        if not self.first.done():
            self.first.set_result(item)

    def _put(self, item: JoinHead | JoinEnd | Fill | Miss) -> None:
        if self._unread is not None:
            self._unread.put(item)
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _changed(self) -> asyncio.Future[None]:
        """Done when something has come."""
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        return waiter


def _with_part(hit: Hit | None, part: HitPart) -> Hit | None:
    """The hit with what came later of it."""
    if hit is None:
        return None
    chunks = hit.chunks + part.chunks
    return Hit(hit.call, hit.status, hit.headers, chunks, hit.facts, hit.ttl_left_s, not part.is_last)


def _length_bytes(headers: HeaderPairs) -> int:
    """What the head says of the body's length; 0 if it says nothing."""
    said = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(said) if said.isdigit() and len(said) < 20 else 0
