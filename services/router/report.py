"""
Report: edges tell how attempts ended and what they run; they hear which targets to put last.

Every replica of the router gets the reports of every edge, so each comes to the same health by itself and none has to
ask another. An ejection is announced to all edges at once; an edge that comes later is told what holds then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from services.contracts.router.values import Outcome, ReportItem, Running, TargetHealth
from services.kit.clock import Clock
from services.kit.names import Attribute, SpanName
from services.kit.rpc.link import Peer
from services.kit.telemetry.tracing import AttributeValue, Tracer
from services.router.health import HealthBook

Reply = Callable[[TargetHealth], None]


class EdgeState(NamedTuple):
    """What an edge said last of itself. `heard_at_s` is of the wall clock."""

    version: str
    heard_at_s: float


class Reporting:
    """The streams of all edges, and the one book of health they write into."""

    def __init__(self, *, clock: Clock, tracer: Tracer) -> None:
        self.book = HealthBook(clock=clock)
        self.running: dict[str, EdgeState] = {}
        self._clock = clock
        self._tracer = tracer
        self._sessions: set[ReportSession] = set()

    def open(self, peer: Peer, reply: Reply) -> ReportSession:
        """A stream of one edge."""
        session = ReportSession(self, reply)
        self._sessions.add(session)
        return session

    def tick(self) -> None:
        """Time has passed: tell whose ejection has ended."""
        self._announce(self.book.tick())

    def note(self, outcome: Outcome) -> None:
        """Count an outcome, and tell everybody if it ejects its target."""
        self._trace(outcome)
        changed = self.book.note(outcome)
        if changed is not None:
            self._announce((changed,))

    def runs(self, running: Running) -> None:
        """That edge runs that version."""
        self.running[running.edge] = EdgeState(running.version, self._clock.wall_s())

    def closed(self, session: ReportSession) -> None:
        """The stream has ended; unless the edge has another one already, it is gone."""
        self._sessions.discard(session)
        if not any(other.edge == session.edge for other in self._sessions):
            self.running.pop(session.edge, None)

    def _announce(self, changes: Iterable[TargetHealth]) -> None:
        for change in changes:
            for session in self._sessions:
                session.tell(change)

    def _trace(self, outcome: Outcome) -> None:
        if not outcome.traceparent:
            return
        attributes: dict[str, AttributeValue] = {
            Attribute.ACCOUNT: outcome.target.account,
            Attribute.GATEWAY: outcome.target.gateway,
            Attribute.GEN_AI_PROVIDER: outcome.target.provider,
            Attribute.IS_SUCCESS: outcome.is_success,
        }
        span = self._tracer.start(SpanName.OUTCOME, parent=outcome.traceparent, kind="server", attributes=attributes)
        if span is not None:
            span.end()


class ReportSession:
    """One edge's stream."""

    def __init__(self, reporting: Reporting, reply: Reply) -> None:
        self.edge = ""
        self._reporting = reporting
        self._reply = reply
        self._is_introduced = False

    async def receive(self, items: Sequence[ReportItem]) -> None:
        """Outcomes, and what the edge runs."""
        if not self._is_introduced:
            self._is_introduced = True
            for health in self._reporting.book.ejected():
                self._reply(health)
        for item in items:
            if isinstance(item, Running):
                self.edge = item.edge
                self._reporting.runs(item)
            else:
                self._reporting.note(item)

    async def close(self) -> None:
        """The edge is gone, or its stream is."""
        self._reporting.closed(self)

    def tell(self, health: TargetHealth) -> None:
        """A target's health has changed. Before the edge's first word nothing is told: then it gets all of it."""
        if self._is_introduced:
            self._reply(health)
