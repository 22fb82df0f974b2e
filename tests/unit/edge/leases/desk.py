"""
The limiter as a ledger's tests play it: links whose answers the test writes itself, and a clock that stands still.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any

from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    Report,
    ReportAck,
    StoreDown,
)
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted, Decision, Refused
from services.kit.health import Dependencies
from tests.fakes.clock import FakeClock

BUCKET = Bucket("local", "main", "calls", "fixed", 60)
LIMIT = 1000


class DeskLink:
    """One replica. What was sent lies in `sent`, and in the order of all replicas in `everything`."""

    def __init__(self, address: str, everything: list[LeaseRequest]) -> None:
        self.address = address
        self.is_up = True
        self.is_standing = True
        self.sent: list[LeaseRequest] = []
        self._everything = everything

    def send(
        self,
        item: LeaseRequest,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        if self.is_up:
            self.sent.append(item)
            self._everything.append(item)
        return self.is_up

    def forget(self, key: Hashable) -> None: ...


class Desk:
    """Both replicas and the ledger that talks to them."""

    def __init__(self, *, holdings_max: int = 100, is_up: bool = True) -> None:
        self.clock = FakeClock(wall_s=1_790_000_010.0)
        self.sent: list[LeaseRequest] = []
        self.a, self.b = DeskLink("a", self.sent), DeskLink("b", self.sent)
        self.a.is_up = self.b.is_up = is_up
        self.dependencies = Dependencies(clock=self.clock)
        self.ledger = LeaseLedger(
            edge="edge", links=self, clock=self.clock, dependencies=self.dependencies, holdings_max=holdings_max
        )
        if is_up:
            self.ledger.opened(self.a)

    def any(self) -> DeskLink | None:
        return next((link for link in (self.a, self.b) if link.is_up), None)

    def all(self) -> Sequence[DeskLink]:
        return self.a, self.b

    def for_key(self, key: bytes) -> DeskLink | None:
        return self.any()

    @property
    def asks(self) -> list[Ask]:
        return [item for item in self.sent if isinstance(item, Ask)]

    @property
    def reports(self) -> list[Report]:
        return [item for item in self.sent if isinstance(item, Report)]

    @property
    def totals(self) -> list[tuple[int, int, int, bool]]:
        """Sequence, spent, returned, closed of every report so far."""
        return [(report.sequence, report.spent, report.returned, report.is_closed) for report in self.reports]

    def pass_time(self, seconds: float) -> None:
        """In steps of the ledger's tick; a hair more, so that sums of fractions never fall short."""
        for _ in range(round(seconds / 0.01)):
            self.clock.advance(0.01 + 1e-9)
            self.ledger.tick()

    def answer(self, *answers: LeaseAnswer) -> None:
        self.ledger.received(self.a, answers)

    def grant(self, units: int, *, remaining: int = 500, valid_ms: int = 1000, sequence: int | None = None) -> Grant:
        """Grant the newest ask, or one of that sequence."""
        last = self.asks[-1]
        grant = Grant(last.bucket, sequence or last.sequence, units, valid_ms, remaining, 30_000, 2)
        self.answer(grant)
        return grant

    def refuse(self, *, retry_after_ms: int = 100, reset_ms: int = 30_000) -> None:
        self.answer(Refusal(self.asks[-1].bucket, self.asks[-1].sequence, retry_after_ms, reset_ms, 2))

    def close(self) -> None:
        self.answer(Closed(self.asks[-1].bucket, self.asks[-1].sequence))

    def store_down(self) -> None:
        self.answer(StoreDown(self.asks[-1].bucket, self.asks[-1].sequence, 2300, "redis is out of reach"))

    def acknowledge(self) -> None:
        """Everything reported so far."""
        self.answer(*[ReportAck(r.bucket, r.sequence, r.spent, r.returned, r.is_closed) for r in self.reports])

    def lose(self, *links: DeskLink) -> None:
        """These streams break; the ledger hears of it."""
        for link in links:
            link.is_up = False
        for link in links:
            self.ledger.lost(link, [(ask.bucket, ask.sequence) for ask in self.asks])

    def reopen(self, link: DeskLink) -> None:
        link.is_up = True
        self.ledger.opened(link)

    def spend(self, units: int = 1, *, limit: int = LIMIT, bucket: Bucket = BUCKET) -> Admitted | Refused | None:
        """What is told at once; None: it would have to wait."""
        holding = self.ledger.holding(bucket, limit)
        assert holding is not None
        spent = self.ledger.spend((holding,), units)
        return spent[0] if spent else self.ledger.refusal(holding, units)

    async def wait(
        self, units: int = 1, *, limit: int = LIMIT, bucket: Bucket = BUCKET, traceparent: str = ""
    ) -> Decision:
        return await self.ledger.wait(self.ledger.holding(bucket, limit), units, traceparent=traceparent)

    def spend_many(self, count: int) -> list[Admitted]:
        admitted = [self.spend() for _ in range(count)]
        assert all(isinstance(one, Admitted) for one in admitted)
        return [one for one in admitted if isinstance(one, Admitted)]

    async def waits(
        self, units: int = 1, *, limit: int = LIMIT, bucket: Bucket = BUCKET, traceparent: str = ""
    ) -> asyncio.Task[Decision]:
        """A request that waits; it has begun to when this returns."""
        task = asyncio.create_task(
            self.wait(units, limit=limit, bucket=bucket, traceparent=traceparent), name="request"
        )
        await asyncio.sleep(0)
        return task

    async def with_lease(self, units: int, *, remaining: int = 500, valid_ms: int = 1000) -> Admitted:
        """Have the ledger hold a lease; its first unit is the answer's."""
        request = await self.waits()
        self.grant(units, remaining=remaining, valid_ms=valid_ms)
        admitted = await request
        assert isinstance(admitted, Admitted)
        return admitted


async def outcome(task: asyncio.Task[Decision]) -> Decision:
    """What it was told; fails if it still waits."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert task.done(), "still waits"
    return task.result()


async def outcomes(tasks: Sequence[asyncio.Task[Decision]]) -> list[str]:
    """Class names, `waits` for those that still do."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [type(task.result()).__name__ if task.done() else "waits" for task in tasks]


async def cancel(task: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
    """The client goes away."""
    assert isinstance(task, asyncio.Task)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
