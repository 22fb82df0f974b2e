"""
Limiter values: what an edge and a limiter say to each other about leases.

The identity of a lease is (edge instance, bucket, sequence). Reports are totals, so that repeating one
changes nothing. Units are whole: requests, tokens, or microdollars. The rules behind every field are
docs/leases.md; hazard: an edge counts a lease's validity from its first ask of that sequence, never from
the grant's arrival.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Technique = Literal["fixed", "sliding"]


class Bucket(msgspec.Struct, frozen=True, cache_hash=True):
    """The identity of a counter. `key_values` are the values of the limit's key items, in their order."""

    account: str
    gateway: str
    limit_name: str
    technique: Technique
    window_s: int
    key_values: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True):
    """One ask for units. `waiting`: units wanted by requests in hand; `ahead`: own rate x 100 ms, less `waiting`."""

    edge: str
    bucket: Bucket
    sequence: int
    limit: int
    waiting: int
    ahead: int
    traceparents: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """Totals of one lease. `is_closed`: nothing more will be spent, what is not spent is given back."""

    edge: str
    bucket: Bucket
    sequence: int
    spent: int
    returned: int
    is_closed: bool
    limit: int


LeaseRequest = Ask | Report


class Grant(msgspec.Struct, frozen=True):
    """
    Units to spend until `valid_ms` after the first ask.

    `remaining` in the window after this grant; `reset_ms` until more comes back by itself; `edges` heard of lately.
    """

    bucket: Bucket
    sequence: int
    units: int
    valid_ms: int
    remaining: int
    reset_ms: int
    edges: int


class Refusal(msgspec.Struct, frozen=True):
    """No units now; ask again after `retry_after_ms`, with a new sequence."""

    bucket: Bucket
    sequence: int
    retry_after_ms: int
    reset_ms: int
    edges: int


class Closed(msgspec.Struct, frozen=True):
    """The ask's sequence is not above the highest one closed."""

    bucket: Bucket
    sequence: int


class ReportAck(msgspec.Struct, frozen=True):
    """The store has these totals."""

    bucket: Bucket
    sequence: int
    spent: int
    returned: int
    is_closed: bool


class StoreDown(msgspec.Struct, frozen=True):
    """The limiter's store could not decide."""

    bucket: Bucket
    sequence: int
    error_code: int
    message: str


LeaseAnswer = Grant | Refusal | Closed | ReportAck | StoreDown
