from __future__ import annotations

import pytest

from services.contracts.router.values import Outcome, Running, Target, TargetHealth
from services.kit.rpc.link import Peer
from services.kit.telemetry.tracing import NoTracer
from services.router.report import Reporting, ReportSession
from tests.fakes.clock import FakeClock
from tests.fakes.tracer import NotingTracer

PEER = Peer("edge", is_private=True)
TARGET = Target("local", "main", "openai", "https://api.openai.com/v1")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reporting(clock: FakeClock) -> Reporting:
    return Reporting(clock=clock, tracer=NoTracer())


def failures(count: int) -> Outcome:
    return Outcome(TARGET, is_success=False, count=count)


async def opened(reporting: Reporting, edge: str) -> tuple[ReportSession, list[TargetHealth]]:
    told: list[TargetHealth] = []
    session = reporting.open(PEER, told.append)
    await session.receive([Running(edge, "v1")])
    return session, told


async def test_failures_of_several_edges_add_up_and_all_are_told(reporting: Reporting) -> None:
    one, told_one = await opened(reporting, "edge-1")
    two, told_two = await opened(reporting, "edge-2")

    await one.receive([failures(3)])
    await two.receive([failures(2)])

    assert told_one == told_two == [TargetHealth(TARGET, 5_000)]


async def test_a_success_at_one_edge_outvotes_failures_at_another(reporting: Reporting) -> None:
    one, told = await opened(reporting, "edge-1")
    two, _ = await opened(reporting, "edge-2")

    await one.receive([failures(3)])
    await two.receive([Outcome(TARGET, is_success=True, count=20)])
    await one.receive([failures(3)])

    assert told == []


async def test_an_edge_that_comes_later_is_told_what_is_ejected_and_for_how_long(
    reporting: Reporting, clock: FakeClock
) -> None:
    one, _ = await opened(reporting, "edge-1")
    await one.receive([failures(5)])
    clock.advance(2)

    _, told = await opened(reporting, "edge-2")

    assert told == [TargetHealth(TARGET, 3_000)]


async def test_the_end_of_an_ejection_is_told(reporting: Reporting, clock: FakeClock) -> None:
    one, told = await opened(reporting, "edge-1")
    await one.receive([failures(5)])

    clock.advance(5)
    reporting.tick()

    assert told[-1] == TargetHealth(TARGET, 0)


async def test_what_each_edge_runs_is_known_until_it_leaves(reporting: Reporting) -> None:
    one, _ = await opened(reporting, "edge-1")
    await opened(reporting, "edge-2")
    await one.receive([Running("edge-1", "v2")])

    assert {edge: state.version for edge, state in reporting.running.items()} == {"edge-1": "v2", "edge-2": "v1"}
    await one.close()
    assert set(reporting.running) == {"edge-2"}


async def test_an_edge_that_reconnects_before_its_old_stream_ends_stays_known(reporting: Reporting) -> None:
    old, _ = await opened(reporting, "edge-1")
    await opened(reporting, "edge-1")

    await old.close()

    assert set(reporting.running) == {"edge-1"}


async def test_the_outcome_of_a_sampled_request_is_a_span_below_its_attempt(clock: FakeClock) -> None:
    tracer = NotingTracer()
    session, _ = await opened(Reporting(clock=clock, tracer=tracer), "edge-1")

    await session.receive([failures(1), Outcome(TARGET, is_success=True, count=1, traceparent=TRACEPARENT)])

    assert [(span.name, span.parent, span.kind, span.is_ended) for span in tracer.spans] == [
        ("router.outcome", TRACEPARENT, "server", True)
    ]
