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

    `remaining` is what this edge last knew to be left: at the grant, plus what its lease still has. `reset_s`: until
    more comes back by itself. `earlier` are parts taken from leases before the last one, for requests that want more
    than one lease holds.
    """

    source: Source
    units: int
    remaining: int
    reset_s: float
    earlier: tuple[Part, ...] = ()
    is_open: bool = True


class Refused(msgspec.Struct, frozen=True):
    """The limit is used up; asking again makes sense after `retry_after_ms`."""

    retry_after_ms: int
    reset_s: float
    remaining: int = 0


class Unavailable(msgspec.Struct, frozen=True):
    """The limiter cannot be asked right now; the limit's `failMode` decides."""

    reason: str


Decision = Admitted | Refused | Unavailable


def parts(source: Source, units: int, earlier: tuple[Part, ...]) -> tuple[Part, ...]:
    """Every source of so many admitted units, and how much came from it."""
    return (*earlier, (source, units - sum(taken for _, taken in earlier)))
