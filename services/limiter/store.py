"""
Store: where leases live, so that any limiter serves any edge.

Two implementations, both real: memory.py for one process, redis_store.py for many. They pass one contract
suite (tests/contract/test_lease_store.py). Hazard: a store that was cut off may have decided all the same; that is why
an ask keeps its sequence until it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.contracts.limiter.values import LeaseAnswer, LeaseRequest

EDGES_HEARD_MS = 30_000
"""An edge counts as one of `edges` this long after it was last heard of."""


class LeaseStore(Protocol):
    """Decides asks and takes reports, each atomically."""

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        """
        One answer per request, in order.

        A request that alone could not be decided is answered by StoreDown. Raises DependencyUnavailable when none
        could be.
        """
        ...

    async def check(self) -> None:
        """Raises SettingsInvalid when the store may lose leases by itself, DependencyUnavailable when out of reach."""
        ...
