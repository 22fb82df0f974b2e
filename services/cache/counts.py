"""Counts: what the cache service has done since it started, as plain numbers that metrics read."""

from __future__ import annotations

from services.contracts.cache.values import Outcome


class Counts:
    """Numbers that only grow."""

    def __init__(self) -> None:
        self.lookups = {"hit": 0, "fill": 0, "join": 0, "miss": 0}
        """By answer; a joiner that becomes filler counts again as `fill`."""
        self.fills: dict[Outcome, int] = {"whole": 0, "uncacheable": 0, "failed": 0}
        self.takeovers = 0
        """Fillers that were made because another failed, answered uncacheably or was silent."""
        self.oversized = 0
        """Fills too large to be kept."""
        self.kept = 0
        self.unkept = 0
        """Whole answers that the store did not take: full, down, or too many at once."""
        self.foreign_waits = 0
        """Lookups that found another replica's fill under way."""
