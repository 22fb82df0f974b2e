"""
Limiter: one simulated replica around the real service. Frozen, it takes messages up and answers them when it runs
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.contracts.limiter.values import LeaseAnswer, LeaseRequest
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.limiter.service import LimiterService
from services.limiter.store import LeaseStore
from tests.simulation.turns import at_once
from tests.simulation.world import World, WorldClock

Reply = Callable[[Sequence[LeaseAnswer]], None]


class SimulatedLimiter:
    """A process that crashes and freezes; what it knows is in the store."""

    def __init__(self, world: World, store: LeaseStore) -> None:
        self.is_dead = False
        self.messages = 0
        self._world = world
        self._frozen: list[tuple[Sequence[LeaseRequest], Reply]] | None = None
        self._service = LimiterService(store=store, clock=WorldClock(world), tracer=NoTracer(), metrics=Metrics())

    def arrive(self, requests: Sequence[LeaseRequest], reply: Reply) -> None:
        """A message of an edge."""
        self.messages += 1
        if self.is_dead:
            return
        if self._frozen is not None:
            self._frozen.append((requests, reply))
            return
        answers: list[LeaseAnswer] = []
        session = self._service.open(Peer("edge", is_private=True), answers.append)
        at_once(session.receive(requests))
        reply(answers)

    def freeze(self, lasts_s: float) -> None:
        """Stop running; go on later."""
        if self._frozen is None:
            self._frozen = []
            self._world.after(lasts_s, self._thaw)

    def _thaw(self) -> None:
        waiting, self._frozen = self._frozen or [], None
        for requests, reply in waiting:
            self.arrive(requests, reply)
