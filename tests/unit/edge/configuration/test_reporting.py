from __future__ import annotations

import asyncio

import pytest

from services.contracts.router.values import Outcome, ReportItem, Running, Target, TargetHealth
from services.edge.configuration.reporting import RUNS_MAX, Reporting
from tests.fakes.clock import FakeClock
from tests.unit.edge.configuration.streams import HandLink, HandLinks

TARGET = Target("local", "main", "openai", "https://api.openai.com/v1")
OTHER = Target("local", "main", "groq", "https://api.groq.com/openai/v1")
SUCCESS = Outcome(TARGET, is_success=True, count=1)
FAILURE = Outcome(TARGET, is_success=False, count=1)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def links() -> HandLinks[ReportItem]:
    return HandLinks(HandLink("router-0"), HandLink("router-1"))


@pytest.fixture
def reporting(links: HandLinks[ReportItem], clock: FakeClock) -> Reporting:
    return Reporting(edge="edge-1", links=links, clock=clock)


async def test_outcomes_are_counted_and_leave_within_a_tenth_of_a_second(
    reporting: Reporting, links: HandLinks[ReportItem]
) -> None:
    for _ in range(500):
        reporting.report(SUCCESS)
    assert links.first.sent == []

    await asyncio.sleep(0.12)

    assert links.first.sent == [Outcome(TARGET, is_success=True, count=500)]


async def test_the_outcome_of_a_sampled_request_waits_for_a_router(clock: FakeClock) -> None:
    link: HandLink[ReportItem] = HandLink("router-0")
    link.is_up = False
    reporting = Reporting(edge="edge-1", links=HandLinks(link), clock=clock)
    sampled = Outcome(TARGET, is_success=True, count=1, traceparent=TRACEPARENT)

    reporting.report(sampled)
    link.is_up = True
    reporting.opened(link)
    reporting.opened(link)

    assert [item for item in link.sent if isinstance(item, Outcome)] == [sampled]


async def test_every_replica_gets_every_outcome(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    reporting.report(FAILURE)

    reporting.flush()

    assert [link.sent for link in links.links] == [[FAILURE], [FAILURE]]


async def test_the_order_of_successes_and_failures_is_kept(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    for outcome in (FAILURE, FAILURE, SUCCESS, FAILURE):
        reporting.report(outcome)

    reporting.flush()

    assert links.first.sent == [Outcome(TARGET, is_success=False, count=2), SUCCESS, FAILURE]


async def test_targets_are_counted_apart(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    other = Outcome(OTHER, is_success=True, count=1)
    for outcome in (SUCCESS, other, SUCCESS, other):
        reporting.report(outcome)

    reporting.flush()

    assert links.first.sent == [
        Outcome(TARGET, is_success=True, count=2),
        Outcome(OTHER, is_success=True, count=2),
    ]


async def test_the_outcome_of_a_sampled_request_leaves_at_once_alone_and_after_those_before_it(
    reporting: Reporting, links: HandLinks[ReportItem]
) -> None:
    sampled = Outcome(TARGET, is_success=True, count=1, traceparent=TRACEPARENT)
    reporting.report(FAILURE)

    reporting.report(sampled)

    assert links.first.sent == [FAILURE, sampled]


async def test_what_waits_is_bounded(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    for number in range(RUNS_MAX):
        reporting.report(Outcome(Target("local", "main", "openai", str(number)), is_success=True, count=1))

    assert len(links.first.sent) == RUNS_MAX


async def test_an_edge_introduces_itself_on_every_stream(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    reporting.runs("v1")
    links.first.take()

    reporting.opened(links.first)

    assert links.first.sent == [Running("edge-1", "v1")]


async def test_a_changed_version_is_told_once(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    reporting.runs("v1")
    reporting.runs("v1")
    reporting.runs("v2")

    assert links.first.sent == [Running("edge-1", "v1"), Running("edge-1", "v2")]


async def test_an_ejected_target_is_one_until_its_time_is_over(
    reporting: Reporting, links: HandLinks[ReportItem], clock: FakeClock
) -> None:
    reporting.received(links.first, [TargetHealth(TARGET, 5_000)])

    assert reporting.is_ejected(TARGET)
    assert not reporting.is_ejected(OTHER)
    clock.advance(5)
    assert not reporting.is_ejected(TARGET)
    assert reporting.ejected_count() == 0


async def test_an_ejection_ends_when_the_router_says_so(reporting: Reporting, links: HandLinks[ReportItem]) -> None:
    reporting.received(links.first, [TargetHealth(TARGET, 5_000)])

    reporting.received(links.first, [TargetHealth(TARGET, 0)])

    assert not reporting.is_ejected(TARGET)


async def test_an_ejection_outlives_the_stream_it_came_on(
    reporting: Reporting, links: HandLinks[ReportItem], clock: FakeClock
) -> None:
    reporting.received(links.first, [TargetHealth(TARGET, 5_000)])
    clock.step_wall(-3_600)

    reporting.lost(links.first, [])

    assert reporting.is_ejected(TARGET)


async def test_ejected_targets_are_bounded_and_make_room_when_their_time_is_over(
    reporting: Reporting, links: HandLinks[ReportItem], clock: FakeClock
) -> None:
    targets = [Target("local", "main", "openai", str(number)) for number in range(10_000)]
    reporting.received(links.first, [TargetHealth(target, 5_000) for target in targets])

    reporting.received(links.first, [TargetHealth(OTHER, 5_000)])
    assert not reporting.is_ejected(OTHER)

    clock.advance(6)
    reporting.received(links.first, [TargetHealth(OTHER, 5_000)])
    assert reporting.is_ejected(OTHER)
    assert reporting.ejected_count() == 1
