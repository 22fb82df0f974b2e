"""Inserts: acknowledged when stored, in order, and never held up by one batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.analytics import inserts as inserts_module
from services.analytics.edges import Edges
from services.analytics.inserts import Inserts
from services.analytics.refused import RefusedBatches
from services.analytics.service import AnalyticsService
from services.analytics.tails import Tails
from services.contracts.analytics.values import Ack, EventBatch
from services.kit.health import Dependencies
from services.kit.names import MetricName
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.tracer import NotingTracer
from tests.rows import event_batch, log_row
from tests.unit.analytics.stores import SwitchedStore


class Desk:
    """The service on a switched store, with one edge's session."""

    def __init__(self, folder: Path) -> None:
        self.store = SwitchedStore()
        self.dependencies = Dependencies(clock=FakeClock())
        self.metrics = Metrics()
        self.tracer = NotingTracer()
        self.refused = RefusedBatches(folder=folder)
        self.acks: list[Ack] = []
        tails = Tails()
        self.inserts = Inserts(
            store=self.store,
            refused=self.refused,
            tails=tails,
            dependencies=self.dependencies,
            metrics=self.metrics,
            tracer=self.tracer,
            retry_s=0.01,
        )
        self.service = AnalyticsService(
            store=self.store,
            inserts=self.inserts,
            tails=tails,
            edges=Edges(clock=FakeClock()),
        )
        self.session = self.service.open(Peer("edge", is_private=True), self.acks.append)

    async def settled(self) -> None:
        async with asyncio.timeout(5):
            await self.inserts.settled()
        await asyncio.sleep(0)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "refused")
    async with _running(desk):
        yield desk


@asynccontextmanager
async def _running(desk: Desk) -> AsyncIterator[None]:
    running = asyncio.create_task(desk.inserts.run())
    yield
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def batch(sequence: int, **changes: object) -> EventBatch:
    return event_batch([log_row(sequence)], sequence=sequence)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_batch_is_acknowledged_when_it_is_stored_and_not_before(desk: Desk) -> None:
    desk.store.is_open.clear()
    await desk.session.receive([batch(1)])
    await until(lambda: desk.store.tries)
    acks_before = list(desk.acks)
    desk.store.is_open.set()
    await desk.settled()

    assert acks_before == []
    assert desk.acks == [Ack(edge="edge-1", sequence=1)]


async def test_batches_are_stored_in_the_order_they_came(desk: Desk) -> None:
    await desk.session.receive([batch(1), batch(2), batch(3)])
    await desk.settled()

    assert [each.sequence for each in desk.store.batches] == [1, 2, 3]


async def test_while_the_store_is_down_nothing_is_acknowledged_and_nothing_is_lost(desk: Desk) -> None:
    desk.store.is_down = True
    await desk.session.receive([batch(1), batch(2)])
    await until(lambda: desk.store.tries >= 3)
    was_down, acks_before = desk.dependencies.is_down("store"), list(desk.acks)
    desk.store.is_down = False
    await desk.settled()

    assert (was_down, acks_before) == (True, [])
    assert not desk.dependencies.is_down("store")
    assert [ack.sequence for ack in desk.acks] == [1, 2]


async def test_a_batch_that_waits_already_is_stored_once_and_told_to_the_newest_stream(desk: Desk) -> None:
    desk.store.is_open.clear()
    await desk.session.receive([batch(1)])
    await desk.session.close()
    acks_again: list[Ack] = []
    again = desk.service.open(Peer("edge", is_private=True), acks_again.append)
    await again.receive([batch(1)])
    desk.store.is_open.set()
    await desk.settled()

    assert len(desk.store.batches) == 1
    assert (desk.acks, acks_again) == ([], [Ack(edge="edge-1", sequence=1)])


async def test_a_refused_batch_is_set_aside_and_those_behind_it_go_on(desk: Desk, tmp_path: Path) -> None:
    desk.store.refuses = {1}
    await desk.session.receive([batch(1), batch(2)])
    await desk.settled()

    assert [ack.sequence for ack in desk.acks] == [1, 2]
    assert [each.sequence for each in desk.store.batches] == [2]
    assert desk.refused.count == 1
    (kept,) = (tmp_path / "refused").iterdir()
    assert batch(1).rows in kept.read_bytes()
    assert kept.stat().st_mode & 0o077 == 0


async def test_a_failure_nobody_foresaw_costs_one_batch(desk: Desk) -> None:
    desk.store.failure = ZeroDivisionError()
    await desk.session.receive([batch(1)])
    await desk.settled()
    desk.store.failure = None
    await desk.session.receive([batch(2)])
    await desk.settled()

    assert [ack.sequence for ack in desk.acks] == [1, 2]
    assert desk.refused.count == 1


async def test_a_full_queue_holds_up_the_stream_it_came_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserts_module, "QUEUE_BATCHES", 2)
    desk.store.is_open.clear()
    receiving = asyncio.create_task(desk.session.receive([batch(number) for number in range(1, 6)]))
    await asyncio.sleep(0.02)
    was_held_up, waiting_count = not receiving.done(), desk.inserts.waiting_count
    desk.store.is_open.set()
    await receiving
    await desk.settled()

    assert (was_held_up, waiting_count) == (True, 2)
    assert len(desk.acks) == 5


async def test_each_sampled_request_has_a_span_of_its_own(desk: Desk) -> None:
    sampled = EventBatch("e", 1, 2, b"", b"", traceparents=("00-a-b-01", "00-c-d-01"))
    await desk.session.receive([sampled])
    await desk.settled()

    assert [(span.name, span.parent, span.error) for span in desk.tracer.spans] == [
        ("analytics.event", "00-a-b-01", ""),
        ("analytics.event", "00-c-d-01", ""),
    ]


async def test_what_is_stored_is_counted(desk: Desk) -> None:
    desk.store.refuses = {2}
    await desk.session.receive([event_batch([log_row(1), log_row(2)], sequence=1), batch(2)])
    await desk.settled()

    batches = desk.metrics.counter(MetricName.STORED_BATCHES)
    assert desk.metrics.counter(MetricName.STORED_ROWS).value() == 2
    assert (batches.value(("stored",)), batches.value(("failed",))) == (1, 1)
