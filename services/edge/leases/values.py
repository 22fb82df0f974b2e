"""
What the ledger answers to a request that wants units.

`Admitted` is an open account until it is confirmed, settled or given back, whichever comes first; after that
nothing done with it has an effect, so that every end of a request may close it.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Source(Protocol):
    """Where admitted units came from: a lease, or this edge's own allowance while the limiter is out of reach."""

    def confirm(self, units: int) -> None:
        """They are spent."""
        ...

    def put_back(self, units: int) -> None:
        """They were not needed."""
        ...


Part = tuple[Source, int]


class Admitted(msgspec.Struct, eq=False):
    """
    Units spent for a request.

    `remaining` is what this edge last knew to be left: at the grant, plus what its lease still has. `earlier` are
    parts taken from leases before the last one, for requests that want more than one lease holds.
    """

    source: Source
    units: int
    remaining: int
    reset_ms: int
    earlier: tuple[Part, ...] = ()
    is_open: bool = True

    def parts(self) -> tuple[Part, ...]:
        """Every source and how much came from it."""
        own = self.units - sum(units for _, units in self.earlier)
        return (*self.earlier, (self.source, own))


class Refused(msgspec.Struct, frozen=True):
    """The limit is used up; asking again makes sense after `retry_after_ms`."""

    retry_after_ms: int
    reset_ms: int


class Unavailable(msgspec.Struct, frozen=True):
    """The limiter cannot be asked right now; the limit's `failMode` decides."""

    reason: str


Decision = Admitted | Refused | Unavailable
