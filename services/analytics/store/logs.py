"""
Log store: what analytics keeps, whatever it is kept in.

`insert` is exact: the same batch twice is there once, in the rows, in the bodies and in the totals, also when a process
died in the middle. Everything else reads.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from services.contracts.analytics.values import EventBatch, LogPage, LogQuery


class StoredBody(msgspec.Struct, frozen=True):
    """What was said in one request, as far as it was kept."""

    request: str
    response: str
    is_request_cut: bool
    is_response_cut: bool


class BatchRefused(Exception):
    """The store cannot take this batch, now or ever: it is not what a batch is. Says why, without its content."""


class LogStore(Protocol):
    """Raises DependencyUnavailable where the store is down or cannot answer within its bounds."""

    async def insert(self, batch: EventBatch) -> None:
        """Returns when the batch is stored, once. Raises BatchRefused."""
        ...

    async def query(self, query: LogQuery) -> LogPage:
        """One page of logs, without bodies. Raises QueryInvalid."""
        ...

    async def log(self, account: str, gateway: str, log_id: str) -> dict[str, object] | None:
        """One log with everything that is known of it."""
        ...

    async def body(self, account: str, gateway: str, log_id: str) -> StoredBody | None:
        """What was said; None where nothing was kept."""
        ...


class Retention(Protocol):
    """Ends what is past its time."""

    async def drop_expired(self, *, wall_s: float) -> list[str]:
        """Drop the partitions whose time is over; gives their names, `table partition`."""
        ...
