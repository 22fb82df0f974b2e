"""The limiter's service: a message in, its answers out, also when the store is gone; sampled asks have spans."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Report,
    ReportAck,
    StoreDown,
)
from services.kit.errors import DependencyUnavailable
from services.kit.names import MetricName
from services.kit.rpc.link import Peer
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.limiter.memory import MemoryLeaseStore
from services.limiter.service import LimiterService
from services.limiter.store import LeaseStore
from tests.fakes.clock import FakeClock
from tests.fakes.tracer import NotingTracer

BUCKET = Bucket("local", "main", "calls", "fixed", 60)
PEER = Peer("edge", is_private=True)


class GoneStore:
    """A LeaseStore whose breaker is open."""

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        raise DependencyUnavailable("redis is out of reach: TimeoutError")

    async def check(self) -> None:
        raise DependencyUnavailable("redis is out of reach: TimeoutError")


class Parts:
    def __init__(self, store: LeaseStore | None = None) -> None:
        clock = FakeClock()
        self.tracer, self.metrics = NotingTracer(), Metrics()
        self.service = LimiterService(
            store=store or MemoryLeaseStore(clock=clock), clock=clock, tracer=self.tracer, metrics=self.metrics
        )
        self.replies: list[LeaseAnswer] = []

    async def say(self, *requests: LeaseRequest) -> list[LeaseAnswer]:
        session = self.service.open(PEER, self.replies.append)
        await session.receive(requests)
        await session.close()
        return self.replies


@pytest.fixture
def parts() -> Parts:
    return Parts()


def ask(sequence: int = 1, *traceparents: str) -> Ask:
    return Ask("A", BUCKET, sequence, 1000, 3, 0, traceparents)


async def test_every_item_of_a_message_is_answered_in_order(parts: Parts) -> None:
    replies = await parts.say(ask(), Report("A", BUCKET, 1, 3, 0, is_closed=True, limit=1000))

    assert [type(reply) for reply in replies] == [Grant, ReportAck]


async def test_leases_outlive_the_stream_they_were_asked_on(parts: Parts) -> None:
    await parts.say(ask())
    again = (await parts.say(ask()))[-1]

    assert isinstance(again, Grant)
    assert (again.units, again.remaining) == (3, 997)


async def test_without_its_store_every_item_is_told_so() -> None:
    replies = await Parts(GoneStore()).say(ask(), Report("A", BUCKET, 1, 3, 0, is_closed=True, limit=1000))

    assert replies == [StoreDown(BUCKET, 1, 2300, "redis is out of reach: TimeoutError")] * 2


async def test_a_sampled_ask_is_a_span_below_each_request_that_waits(parts: Parts) -> None:
    await parts.say(ask(1, "00-a-1-01", "00-a-2-01"), ask(2, "00-a-3-00"), ask(3))

    assert [(span.name, span.parent, span.error) for span in parts.tracer.spans] == [
        ("limiter.lease", "00-a-1-01", ""),
        ("limiter.lease", "00-a-2-01", ""),
    ]
    assert parts.tracer.spans[0].attributes == {"narrows.limit": "calls", "narrows.lease.units": 3}


async def test_a_span_says_that_the_store_was_down() -> None:
    parts = Parts(GoneStore())
    await parts.say(ask(1, "00-a-1-01"))

    assert parts.tracer.spans[0].error == "redis is out of reach: TimeoutError"


async def test_answers_units_and_the_stores_time_are_counted(parts: Parts) -> None:
    await parts.say(ask(1), ask(2), Report("A", BUCKET, 1, 3, 0, is_closed=True, limit=1000), ask(1))

    answers = parts.metrics.counter(MetricName.LEASE_ANSWERS)
    assert [answers.value((kind,)) for kind in ("granted", "closed", "acknowledged")] == [2, 1, 1]
    assert parts.metrics.counter(MetricName.LEASE_UNITS).value() == 6
    assert parts.metrics.histogram(MetricName.LEASE_STORE_DURATION).count() == 1


async def test_it_works_without_traces() -> None:
    clock = FakeClock()
    service = LimiterService(store=MemoryLeaseStore(clock=clock), clock=clock, tracer=NoTracer(), metrics=Metrics())

    assert isinstance((await service.answer([ask(1, "00-a-1-01")]))[0], Grant)
