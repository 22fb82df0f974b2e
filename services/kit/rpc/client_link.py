"""
Client link: what a client's end of a conversation knows, whatever carries it.

Items to send, keys that wait for answers, the breaker, and what is told to the listener when. The transports
drive it: `local.py` takes its items straight to a session, `stream.py` writes them to gRPC; both call `stand` when
a session is at the other end, `deliver` with what came, `broke` when it is gone. So the rules of a `Link` are
here once, and there is nothing to wait for in this file.

A link *stands* while a stream carries it, and is *up* while it stands and its breaker is closed. Hazard: a breaker
that opens does not break the stream. What waits goes on waiting to be written, in order and without a hole, and
late answers are still delivered; only new items are refused.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from services.kit.clock import Clock
from services.kit.rpc.bounds import CROWD_ITEMS, Bounds
from services.kit.rpc.link import Conversation, In, Listener, Out
from services.kit.rpc.outbox import Outbox
from services.kit.rpc.outstanding import TICK_S, Outstanding
from services.kit.rpc.silence import Silence
from services.kit.rpc.ticker import Ticker


@dataclass(slots=True)
class Traffic:
    """Items that were sent, received, and refused by `send`, of all links that share this, and messages with items."""

    sent: int = 0
    received: int = 0
    dropped: int = 0
    messages_sent: int = 0
    messages_received: int = 0


class ClientLink(Generic[Out, In]):
    """A `Link`, driven by the transport that owns it. `changed` is called when `is_up` has changed."""

    def __init__(
        self,
        conversation: Conversation[Out, In],
        listener: Listener[Out, In],
        *,
        address: str,
        clock: Clock,
        bounds: Bounds,
        traffic: Traffic,
        changed: Callable[[], None],
    ) -> None:
        self.address = address
        self.is_up = False
        self.is_standing = False
        self.is_closing = False
        self.probe_due = 0
        self.is_crowded = False
        """The last message had many items that somebody waits for."""
        self._urgent_count = 0
        self.wake = asyncio.Event()
        self._answers = conversation.answers
        self._listener = listener
        self._monotonic_s = clock.monotonic_s
        self._outbox = Outbox(wire=conversation.outgoing, bounds=bounds)
        self._outstanding = Outstanding()
        self._kept = _Kept(conversation, bounds) if conversation.replays else None
        self._keys_max = bounds.keys_max
        self._silence = Silence(patience_s=bounds.patience_s)
        self._traffic = traffic
        self._ticker = Ticker(self._tick)
        self._held_up_s = 0.0
        """For how long this process was too busy to listen, in all; deadlines do not count that."""
        self._changed = changed
        self._is_announced = False
        self._leisure_s = bounds.leisure_s
        self._leisure: asyncio.TimerHandle | None = None

    def send(
        self,
        item: Out,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        """Put an item into the next message; False if it was not taken."""
        if (
            not self.is_up
            or (key is not None and not self._may_owe(key, item))
            or not self._outbox.put(item, size_bytes)
        ):
            self._traffic.dropped += 1
            return False
        if key is not None:
            now_s = self._monotonic_s()
            self._outstanding.add(key, deadline_at_s=now_s - self._held_up_s + deadline_s)
            if self._kept is not None:
                self._kept.keep(key, item)
            if not self._silence.is_owed:
                self._watch(now_s)
        if is_urgent or not self._leisure_s:
            if not self._urgent_count:
                self.wake.set()
            self._urgent_count += 1
        elif self._leisure is None:
            self._leisure = asyncio.get_running_loop().call_later(self._leisure_s, self.wake.set)
        return True

    def forget(self, key: Hashable) -> None:
        """Nobody waits for this key any more."""
        self._settle((key,))

    @property
    def is_idle(self) -> bool:
        """Nothing waits to be sent or answered."""
        return not self._outbox and not self._outstanding.waiting

    def take(self) -> list[Out]:
        """The items of the next message."""
        self._hurry()
        self.is_crowded = self._urgent_count >= CROWD_ITEMS
        self._urgent_count = 0
        items = self._outbox.take()
        if items:
            self._traffic.sent += len(items)
            self._traffic.messages_sent += 1
        return items

    def stand(self) -> None:
        """A stream stands, with a fresh session at its end."""
        now_s = self._monotonic_s()
        self.is_standing = True
        self._silence.started(now_s)
        if self._silence.is_open:
            self._silence.ask(now_s)
            self._probe()
        else:
            self._rise()

    def deliver(self, items: Sequence[In], probe: int = 0) -> None:
        """A message has come."""
        self._settle(map(self._answers, items))
        self._silence.heard(is_still_owed=bool(self._outstanding.waiting))
        if probe and self._silence.echoed(probe, self._monotonic_s()):
            self._rise()
        if items:
            self._traffic.received += len(items)
            self._traffic.messages_received += 1
            self._listener.received(self, items)

    def broke(self) -> None:
        """The stream is gone, and with it what was written or waited to be."""
        self.is_standing = self._is_announced = False
        self.probe_due = self._urgent_count = 0
        self._outbox.clear()
        self._fall()

    def close(self) -> None:
        """The link is done for good: nothing is replayed any more."""
        self._kept = None
        was_up = self.is_up
        self.broke()
        if not was_up and self._outstanding.waiting:
            self._listener.lost(self, self._outstanding.take())
        self._ticker.stop()
        self._hurry()

    def _hurry(self) -> None:
        """What was not urgent need not wait for its own time any more."""
        if self._leisure is not None:
            self._leisure.cancel()
            self._leisure = None

    def _may_owe(self, key: Hashable, item: Out) -> bool:
        """Whether one more key may wait, and its item be kept if it has to be."""
        waiting = self._outstanding.waiting
        if len(waiting) >= self._keys_max and key not in waiting:
            return False
        return self._kept is None or self._kept.has_room(key, item)

    def _watch(self, now_s: float) -> None:
        """Something is owed from now on. The ticker runs as long as that is so."""
        self._silence.owed(now_s)
        self._ticker.start()

    def _settle(self, keys: Iterable[Hashable]) -> None:
        """These keys are answered or given up; those that nobody waits for (None) mean nothing."""
        waiting, kept = self._outstanding.waiting, self._kept
        for key in keys:
            if waiting.pop(key, None) is not None and kept is not None:
                kept.drop(key)

    def _rise(self) -> None:
        self.is_up = True
        if not self._is_announced:
            self._is_announced = True
            replayed = [] if self._kept is None else self._kept.items()
            self._listener.opened(self)
            self._replay(replayed)
        self._changed()

    def _replay(self, items: list[Out]) -> None:
        if items:
            self._outbox.restore(items)
            self._watch(self._monotonic_s())
            self.wake.set()

    def _fall(self) -> None:
        if not self.is_up:
            return
        self.is_up = False
        self._listener.lost(self, [] if self._kept is not None else self._outstanding.take())
        self._changed()

    def _probe(self) -> None:
        self.probe_due = self._silence.probe
        self._ticker.start()
        self.wake.set()

    def _tick(self, late_s: float) -> bool:
        now_s = self._monotonic_s()
        if late_s > TICK_S:
            self._held_up_s += late_s
        expired = self._outstanding.expire(now_s - self._held_up_s)
        if expired:
            if self._kept is not None:
                for key in expired:
                    self._kept.drop(key)
            self._listener.expired(self, expired)
        if self.is_standing:
            verdict = self._silence.tick(now_s)
            if verdict != "wait":
                self._probe()
            if verdict == "open":
                self._fall()
            return self._silence.is_watched or bool(self._outstanding.waiting)
        return bool(self._outstanding.waiting)


class _Kept(Generic[Out]):
    """Unanswered items of a conversation that replays, in order, bounded like the outbox they go back into."""

    def __init__(self, conversation: Conversation[Out, In], bounds: Bounds) -> None:
        self._size_bytes = conversation.outgoing.size_bytes
        self._bytes_max = bounds.bytes_max
        self._items_max = bounds.items_max
        self._items: dict[Hashable, Out] = {}
        self._kept_bytes = 0

    def has_room(self, key: Hashable, item: Out) -> bool:
        freed_bytes = self._size_bytes(self._items[key]) if key in self._items else 0
        fits = self._kept_bytes - freed_bytes + self._size_bytes(item) <= self._bytes_max
        return fits and (key in self._items or len(self._items) < self._items_max)

    def keep(self, key: Hashable, item: Out) -> None:
        self.drop(key)
        self._items[key] = item
        self._kept_bytes += self._size_bytes(item)

    def drop(self, key: Hashable) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._kept_bytes -= self._size_bytes(item)

    def items(self) -> list[Out]:
        return list(self._items.values())
