"""
Exchange: one request on its way through the nine stages.

Nine slots, one per stage. Each holds a frozen value that its own stage writes once; reading an empty slot raises,
so a stage that needs what has not happened yet fails loudly instead of guessing. What is not a stage's result but
belongs to the request as a whole (its id, its clock marks, its span, its reply) stands beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.edge.port.arrival import Arrival
    from services.edge.port.reply import Reply
    from services.edge.stages.admit import Admitted
    from services.edge.stages.attempt import Attempted
    from services.edge.stages.authenticate import Authenticated
    from services.edge.stages.inspect import Inspected
    from services.edge.stages.recall import Recalled
    from services.edge.stages.receive import Received
    from services.edge.stages.relay import Relayed
    from services.edge.stages.resolve import Resolved
    from services.edge.stages.settle import Settled
    from services.kit.telemetry.tracing import Span


class Slots:
    """What the stages have found out, each in its own slot."""

    __slots__ = (
        "admitted",
        "attempted",
        "authenticated",
        "inspected",
        "recalled",
        "received",
        "relayed",
        "resolved",
        "settled",
    )

    resolved: Resolved
    authenticated: Authenticated
    received: Received
    inspected: Inspected
    admitted: Admitted
    recalled: Recalled
    attempted: Attempted
    relayed: Relayed
    settled: Settled

    def has(self, stage: str) -> bool:
        """Whether the stage that writes this slot has run."""
        return hasattr(self, stage)


class Exchange(msgspec.Struct, Slots, eq=False):
    """
    One request. `marks_s`: when its first stages ended (monotonic), for `Server-Timing`. `degraded`: dependencies
    gone without. `attempts`: at all providers so far.
    """

    arrival: Arrival
    reply: Reply
    log_id: str
    started_ms: int
    marks_s: list[float] = []
    attempts: int = 0
    provider_wait_s: float = 0.0
    degraded: list[str] = []
    span: Span | None = None

    def note_degraded(self, dependency: str) -> None:
        """Policy let the request go on without this dependency."""
        if dependency not in self.degraded:
            self.degraded.append(dependency)
