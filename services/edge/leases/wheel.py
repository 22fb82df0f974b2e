"""
Wheel: leases by the moment to look at them again.

Slots of 10 ms instead of a timer for each lease, so that ten thousand leases cost what the few that are due cost.
A lease is rounded up into its slot: it is never looked at too early and then again and again.
"""

from __future__ import annotations

import heapq

from services.edge.leases.lease import Lease

SLOT_S = 0.01


class Wheel:
    """Each lease put in comes out once, at or a little after its time."""

    def __init__(self) -> None:
        self._leases: dict[int, list[Lease]] = {}
        self._slots: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._slots)

    def put(self, lease: Lease, at_s: float) -> None:
        """Have it come out at that time."""
        slot = int(at_s / SLOT_S) + 1
        waiting = self._leases.get(slot)
        if waiting is None:
            waiting = self._leases[slot] = []
            heapq.heappush(self._slots, slot)
        waiting.append(lease)

    def due(self, now_s: float) -> list[Lease]:
        """Take out those whose time has come."""
        due: list[Lease] = []
        last_slot = int(now_s / SLOT_S)
        while self._slots and self._slots[0] <= last_slot:
            due.extend(self._leases.pop(heapq.heappop(self._slots)))
        return due
