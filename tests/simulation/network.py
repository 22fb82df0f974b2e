"""
Network: messages between simulated edges and limiters, which may be lost, doubled, delayed and reordered.

A link is the edge's end; items of one moment share a message, as on the real wire. A link that hears nothing for 250 ms
while something is owed goes down, as the real one's breaker does, and comes up again when its path works.

Hazard: the real stream keeps order; this one may not, because a stream that breaks and is opened again looks
just like that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from services.contracts.limiter.conversation import lease_key
from services.contracts.limiter.values import Ask, LeaseAnswer, LeaseRequest
from services.kit.rpc.link import Listener
from tests.simulation.world import World

SILENCE_S_MAX = 0.25
NOT_URGENT_S_MAX = 0.005
"""What nobody waits for leaves with the next message, or after this."""

Event = Callable[[], None]
Arrive = Callable[[Sequence[LeaseRequest], Callable[[Sequence[LeaseAnswer]], None]], None]


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to messages. Shares are of all messages; times in seconds."""

    latency_s: tuple[float, float] = (0.0002, 0.002)
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_s_max: float = 0.0


CLEAR = Weather()


class Path:
    """One direction between two machines."""

    def __init__(self, world: World, weather: Weather, sights: Counter[str]) -> None:
        self.cuts = 0
        """Partitions that cut it now."""
        self._world = world
        self._weather = weather
        self._sights = sights
        self._sent = self._arrived = 0

    def carry(self, deliver: Event) -> None:
        """Deliver a message some time later, or never, or twice."""
        random, weather = self._world.random.random, self._weather
        soonest_s, latest_s = weather.latency_s
        self._sent += 1
        copies = 1
        if weather.doubled and random() < weather.doubled:
            copies = 2
            self._sights["message doubled"] += 1
        for _ in range(copies):
            if self.cuts or (weather.lost and random() < weather.lost):
                self._sights["message lost"] += 1
                continue
            delay_s = soonest_s + (latest_s - soonest_s) * random()
            if weather.late and random() < weather.late:
                delay_s += weather.late_s_max * random()
            self._world.after(delay_s, self._counted(self._sent, deliver))

    def _counted(self, number: int, deliver: Event) -> Event:
        def arrive() -> None:
            if number < self._arrived:
                self._sights["message overtaken"] += 1
            self._arrived = max(self._arrived, number)
            deliver()

        return arrive


class SimulatedLink:
    """
    Implements Link.

    `arrive` is the limiter's end; `perform` runs something in the edge's process when that runs, and `watch` sees the
    answers that come to it. `asked_s`: when each lease was first asked for, on whichever link of the edge.
    """

    def __init__(
        self,
        address: str,
        *,
        world: World,
        weather: Weather,
        sights: Counter[str],
        arrive: Arrive,
        perform: Callable[[Event], None],
        watch: Callable[[Sequence[LeaseAnswer]], None],
        asked_s: dict[tuple[str, int], float],
    ) -> None:
        self.address = address
        self.is_up = self.is_standing = True
        self.there, self.back = Path(world, weather, sights), Path(world, weather, sights)
        self.listener: Listener[LeaseRequest, LeaseAnswer] | None = None
        self.asked_s = asked_s
        self._world = world
        self._arrive = arrive
        self._perform = perform
        self._watch_answers = watch
        self._is_dead = False
        self._outbox: list[LeaseRequest] = []
        self._owed: dict[Hashable, None] = {}
        self._quiet_since_s = 0.0
        self._is_watched = False

    def send(
        self,
        item: LeaseRequest,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        if not self.is_up:
            return False
        if isinstance(item, Ask):
            self.asked_s.setdefault((item.edge, item.sequence), self._world.now_s)
        self._outbox.append(item)
        self._world.after(0 if is_urgent else NOT_URGENT_S_MAX, self._flush)
        if key is not None:
            if not self._owed:
                self._quiet_since_s = self._world.now_s
            self._owed[key] = None
        self._watch()
        return True

    def waited_s(self, edge: str, sequence: int) -> float:
        """Since this lease was first asked for."""
        return self._world.now_s - self.asked_s[edge, sequence]

    def forget(self, key: Hashable) -> None:
        self._owed.pop(key, None)

    def receive(self, answers: Sequence[LeaseAnswer]) -> None:
        """A message for the edge, whose process runs."""
        self._quiet_since_s = self._world.now_s
        for answer in answers:
            self._owed.pop(lease_key(answer), None)
        self._watch_answers(answers)
        if self.listener is not None:
            self.listener.received(self, answers)

    def go_down(self) -> None:
        """The breaker opens, or the stream breaks."""
        if self.is_up:
            self.is_up = False
            owed = list(self._owed)
            self._owed.clear()
            self._outbox.clear()
            if self.listener is not None:
                self.listener.lost(self, owed)

    def come_up(self) -> None:
        """A probe was answered, or a new stream stands."""
        if self.is_up or self._is_dead or self.there.cuts or self.back.cuts:
            return
        self.is_up = True
        if self.listener is not None:
            self.listener.opened(self)

    def die(self) -> None:
        """With its process, and with what that had not sent yet."""
        self._is_dead = True
        self.is_up = False
        self.listener = None
        self._owed.clear()
        self._outbox.clear()

    def _flush(self) -> None:
        items, self._outbox = self._outbox, []
        if items:
            self.there.carry(lambda: self._arrive(items, self._reply))

    def _reply(self, answers: Sequence[LeaseAnswer]) -> None:
        self.back.carry(lambda: self._perform(lambda: self.receive(answers)))

    def _watch(self) -> None:
        if not self._is_watched and self._owed:
            self._is_watched = True
            self._world.after(0.05, lambda: self._perform(self._look))

    def _look(self) -> None:
        self._is_watched = False
        if self._owed and self._world.now_s - self._quiet_since_s >= SILENCE_S_MAX:
            self.go_down()
            self._world.after(0.1, self._probe)
        self._watch()

    def _probe(self) -> None:
        self.come_up()
        if not self.is_up and not self._is_dead:
            self._world.after(0.1, self._probe)


class SimulatedLinks:
    """Implements Links: the first that is up."""

    def __init__(self, links: Sequence[SimulatedLink]) -> None:
        self._links = links

    def any(self) -> SimulatedLink | None:
        for link in self._links:
            if link.is_up:
                return link
        return None

    def for_key(self, key: bytes) -> SimulatedLink | None:
        return self.any()

    def all(self) -> Sequence[SimulatedLink]:
        return self._links
