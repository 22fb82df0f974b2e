"""
Edges: how each edge says it is.

Every edge sends its own /status once a second; the newest one of each is kept, and forgotten after ten seconds, so
whoever looks at the admin port sees the edges that live, how far their logs are behind, and what is refused.
"""

from __future__ import annotations

import msgspec

from services.contracts.analytics.values import EdgeStatus
from services.kit.clock import Clock

KEPT_S = 10.0
EDGES_MAX = 1_000
STATUS_BYTES_MAX = 262_144


class Edges:
    """The newest status of each edge."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._statuses: dict[str, tuple[float, dict[str, object]]] = {}

    def note(self, status: EdgeStatus) -> None:
        """An edge said how it is. What is no JSON object, or too much of it, is passed over."""
        if len(status.status) > STATUS_BYTES_MAX:
            return
        try:
            told = msgspec.json.decode(status.status, type=dict[str, object])
        except msgspec.DecodeError:
            return
        self._forget_old()
        self._statuses.pop(status.edge, None)
        if len(self._statuses) >= EDGES_MAX:
            del self._statuses[next(iter(self._statuses))]
        self._statuses[status.edge] = (self._clock.monotonic_s(), told)

    def statuses(self) -> dict[str, dict[str, object]]:
        """By the edge's name, those that live."""
        self._forget_old()
        return {edge: told for edge, (_, told) in sorted(self._statuses.items())}

    def refusals(self) -> list[object]:
        """Resources that some router refused, as edges have heard of them; each once."""
        found: dict[bytes, object] = {}
        for told in self.statuses().values():
            refusals = told.get("refusals")
            for refusal in refusals if isinstance(refusals, list) else []:
                found.setdefault(msgspec.json.encode(refusal, order="deterministic"), refusal)
        return list(found.values())

    def _forget_old(self) -> None:
        oldest_s = self._clock.monotonic_s() - KEPT_S
        for edge in [edge for edge, (noted_s, _) in self._statuses.items() if noted_s < oldest_s]:
            del self._statuses[edge]
