"""
Attempts: one filler's answer as it comes, and those who follow it.

A caller follows at most one attempt, from its first byte to its end: it has all bytes of that one answer or a broken
end, never a mixture. The bytes are held as they come, for those who join late and for the store; an answer that
grows too large to be held is still relayed to those who follow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.cache.store.answers import Entry
from services.cache.stream import Caller, Stream
from services.contracts.cache.values import FillHead, JoinChunk, JoinEnd, JoinHead, Outcome


class Attempt:
    """One filler's answer."""

    __slots__ = ("chunks", "filler", "followers", "head", "heard_at_s", "held_bytes", "is_held", "is_told")

    def __init__(self, filler: Caller, *, now_s: float) -> None:
        self.filler = filler
        self.heard_at_s = now_s
        self.head: FillHead | None = None
        self.chunks: list[bytes] = []
        self.held_bytes = 0
        self.is_held = True
        """All bytes so far are in `chunks`."""
        self.followers: dict[Stream, dict[int, Caller]] = {}
        self.is_told = False
        """The filler knows that others wait."""

    def is_joinable(self, replay_bytes_max: int) -> bool:
        """A caller that has no byte yet can still have all of them."""
        return self.is_held and self.held_bytes <= replay_bytes_max

    @property
    def is_speaking(self) -> bool:
        """A first byte has come."""
        return bool(self.chunks) or not self.is_held

    def hold(self, chunks: Sequence[bytes]) -> int:
        """Add what came; how many bytes that is."""
        size_bytes = sum(map(len, chunks))
        self.chunks += chunks
        self.held_bytes += size_bytes
        return size_bytes

    def let_go(self) -> int:
        """Hold nothing any more; how many bytes that frees."""
        freed_bytes = self.held_bytes
        self.chunks = []
        self.held_bytes = 0
        self.is_held = False
        return freed_bytes

    def follow(self, callers: Iterable[Caller]) -> None:
        """These get head and all bytes so far, and then what comes."""
        joining: dict[Stream, list[Caller]] = {}
        for caller in callers:
            joining.setdefault(caller.stream, []).append(caller)
        for stream, group in joining.items():
            self._replay(stream, tuple([caller.call for caller in group]))
            self.followers.setdefault(stream, {}).update((caller.call, caller) for caller in group)

    def relay(self, chunks: Sequence[bytes]) -> None:
        """Send the next bytes to all who follow: once a stream, however many they are."""
        for stream, group in self.followers.items():
            calls = tuple(group)
            for chunk in chunks:
                stream.reply(JoinChunk(calls, chunk))

    def finish(self, outcome: Outcome, facts: str) -> None:
        """The end, for all who follow."""
        for stream, group in self.followers.items():
            for caller in list(group.values()):
                caller.over()
            stream.reply(JoinEnd(tuple(group), outcome, facts))
        self.followers = {}

    def drop(self, caller: Caller) -> None:
        """This one no longer follows."""
        group = self.followers.get(caller.stream)
        if group is not None and group.pop(caller.call, None) is not None and not group:
            del self.followers[caller.stream]

    def entry(self, facts: str) -> Entry | None:
        """The whole answer, if it was held. `facts` are the end's."""
        if self.head is None or not self.is_held:
            return None
        head = self.head
        return Entry(head.status, head.headers, tuple(self.chunks), facts or head.facts)

    def _replay(self, stream: Stream, calls: tuple[int, ...]) -> None:
        assert self.head is not None
        stream.reply(JoinHead(calls, self.head.status, self.head.headers, self.head.facts))
        for chunk in self.chunks:
            stream.reply(JoinChunk(calls, chunk))
