"""The edge's ledger: spends from a lease, asks when it is short, waits, and gives back."""

from __future__ import annotations

import asyncio

import pytest

from services.contracts.limiter.values import Ask, Bucket
from services.edge.leases.values import Admitted, Refused, Unavailable, parts
from tests.unit.edge.leases.desk import BUCKET, LIMIT, Desk, cancel, outcome, outcomes


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_the_first_request_of_a_bucket_has_to_wait(desk: Desk) -> None:
    assert desk.spend() is None


async def test_a_waiting_request_is_asked_for_at_once(desk: Desk) -> None:
    await desk.waits(traceparent="00-a-b-01")

    assert desk.asks == [Ask("edge", BUCKET, 1, LIMIT, 1, 0, ("00-a-b-01",))]


async def test_requests_that_wait_share_one_ask_and_are_told_in_its_repetition(desk: Desk) -> None:
    for _ in range(3):
        await desk.waits()
    desk.pass_time(0.05)

    assert [(ask.sequence, ask.waiting) for ask in desk.asks] == [(1, 1), (1, 3)]


async def test_a_grant_lets_a_waiting_request_go_on(desk: Desk) -> None:
    request = await desk.waits()
    desk.grant(1, remaining=499)

    admitted = await outcome(request)
    assert isinstance(admitted, Admitted)
    assert (admitted.units, admitted.remaining, admitted.reset_s) == (1, 499, 30)


async def test_a_lease_is_spent_without_asking(desk: Desk) -> None:
    await desk.with_lease(7)
    admitted = desk.spend_many(3)

    assert [one.remaining for one in admitted] == [505, 504, 503]
    assert len(desk.asks) == 1


async def test_the_reset_is_counted_down(desk: Desk) -> None:
    await desk.with_lease(7)
    desk.pass_time(0.05)

    assert desk.spend_many(1)[0].reset_s == pytest.approx(29.95)


async def test_waiting_requests_are_served_in_their_order(desk: Desk) -> None:
    requests = [await desk.waits() for _ in range(5)]
    desk.grant(3)

    assert await outcomes(requests) == ["Admitted"] * 3 + ["waits"] * 2


async def test_who_could_not_be_served_is_asked_for_with_the_next_sequence(desk: Desk) -> None:
    for _ in range(5):
        await desk.waits()
    desk.grant(3)

    assert (desk.asks[-1].sequence, desk.asks[-1].waiting) == (2, 2)


async def test_a_new_request_never_overtakes_one_that_waits(desk: Desk) -> None:
    waiting = await desk.waits(5)
    desk.grant(3)

    assert desk.spend() is None
    assert await outcomes([waiting]) == ["waits"]


async def test_a_request_for_more_than_a_lease_holds_collects_from_several(desk: Desk) -> None:
    request = await desk.waits(10)
    desk.grant(7)
    desk.grant(7)

    admitted = await outcome(request)
    assert isinstance(admitted, Admitted)
    assert [units for _, units in parts(admitted.source, admitted.units, admitted.earlier)] == [7, 3]
    desk.ledger.confirm(admitted)
    desk.pass_time(0.02)
    assert desk.totals == [(1, 7, 0, True), (2, 3, 0, False)]


async def test_a_request_for_more_than_the_limit_is_refused_at_once(desk: Desk) -> None:
    await desk.with_lease(7)

    assert desk.spend(LIMIT + 1) == Refused(60_000, 60)


async def test_a_refusal_is_told_to_everybody_who_waits(desk: Desk) -> None:
    requests = [await desk.waits() for _ in range(3)]
    desk.refuse(retry_after_ms=80, reset_ms=9_000)

    assert [await outcome(request) for request in requests] == [Refused(80, 9)] * 3


async def test_a_refusal_is_answered_from_memory_until_its_time(desk: Desk) -> None:
    await desk.waits()
    desk.refuse(retry_after_ms=100)
    desk.pass_time(0.09)

    refused = desk.spend()
    assert isinstance(refused, Refused)
    assert refused.retry_after_ms == 10
    desk.pass_time(0.01)
    assert desk.spend() is None
    assert len(desk.asks) == 1


async def test_a_refused_collector_lets_go_and_those_behind_it_are_served_from_that(desk: Desk) -> None:
    requests = [await desk.waits(10), await desk.waits(2), await desk.waits(9)]
    desk.grant(5)
    desk.refuse()

    assert await outcomes(requests) == ["Refused", "Admitted", "Refused"]


async def test_a_cancelled_request_leaves_no_trace(desk: Desk) -> None:
    gone, stays = await desk.waits(), await desk.waits()
    await cancel(gone)
    desk.grant(1)

    assert isinstance(await outcome(stays), Admitted)


async def test_a_cancelled_collector_lets_go_of_what_it_had(desk: Desk) -> None:
    gone, stays = await desk.waits(10), await desk.waits(5)
    desk.grant(7)
    await cancel(gone)

    assert isinstance(await outcome(stays), Admitted)


async def test_units_granted_in_the_moment_of_the_cancellation_are_given_back(desk: Desk) -> None:
    request = await desk.waits()
    desk.grant(4)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert isinstance(desk.spend(4), Admitted)


async def test_nobody_waits_longer_than_5_s(desk: Desk) -> None:
    request = await desk.waits()
    desk.pass_time(4.98)
    assert await outcomes([request]) == ["waits"]
    desk.pass_time(0.03)

    assert isinstance(await outcome(request), Unavailable)


async def test_a_request_served_in_the_moment_its_patience_ends_keeps_its_unit(desk: Desk) -> None:
    request = await desk.waits()
    desk.pass_time(4.95)
    desk.grant(1)
    desk.pass_time(0.1)

    assert isinstance(await outcome(request), Admitted)
    assert desk.spend() is None


async def test_what_a_request_had_that_waited_too_long_serves_those_behind_it(desk: Desk) -> None:
    first = await desk.waits(10)
    desk.pass_time(4.95)
    desk.grant(7)
    second = await desk.waits(5)
    assert await outcomes([first, second]) == ["waits", "waits"]
    desk.pass_time(0.1)

    assert await outcomes([first, second]) == ["Unavailable", "Admitted"]


@pytest.mark.parametrize("change", ["a new snapshot", "another limit", "idle"])
async def test_who_keeps_a_holding_is_told_when_it_is_stale(desk: Desk, change: str) -> None:
    told: list[str] = []
    desk.ledger.confirm(await desk.with_lease(5))
    desk.ledger.subscribe(lambda: told.append(change))
    match change:
        case "a new snapshot":
            desk.ledger.changed({BUCKET: LIMIT}.get)
        case "another limit":
            desk.spend(limit=LIMIT + 1)
        case _:
            for _ in range(70):
                desk.acknowledge()
                desk.pass_time(1.0)

    assert told == [change]


async def test_own_demand_is_asked_for_ahead(desk: Desk) -> None:
    await desk.with_lease(44, remaining=0)
    for _ in range(10):
        desk.spend_many(4)
        desk.pass_time(0.01)
    desk.spend_many(3)
    await desk.waits()

    assert desk.asks[-1].waiting == 1
    assert desk.asks[-1].ahead in range(40, 46)


async def test_while_the_limit_has_plenty_the_next_lease_is_asked_for_before_this_one_is_used_up(desk: Desk) -> None:
    await desk.with_lease(8, remaining=900)
    desk.spend_many(4)
    assert len(desk.asks) == 1
    desk.spend_many(1)

    assert [(ask.sequence, ask.waiting) for ask in desk.asks] == [(1, 1), (2, 0)]


async def test_near_the_limits_end_nothing_is_asked_for_before_it_is_needed(desk: Desk) -> None:
    await desk.with_lease(8, remaining=63)
    desk.spend_many(7)

    assert len(desk.asks) == 1


async def test_a_new_lease_takes_the_place_of_the_old_one_whose_rest_goes_back(desk: Desk) -> None:
    first = await desk.with_lease(8, remaining=900)
    for one in (first, *desk.spend_many(5)):
        desk.ledger.confirm(one)
    desk.grant(8)
    desk.pass_time(0.02)

    assert desk.totals == [(1, 6, 2, True)]


async def test_two_limits_are_two_buckets(desk: Desk) -> None:
    other = Bucket("local", "main", "tokens", "sliding", 60)
    await desk.with_lease(5)

    assert desk.spend(bucket=other) is None


async def test_a_lease_of_a_changed_limit_goes_back_when_the_new_limit_is_first_used(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(5))
    answer = desk.spend(limit=LIMIT + 1)
    desk.pass_time(0.02)

    assert answer is None
    assert desk.totals == [(1, 1, 4, True)]


async def test_a_snapshot_gives_back_leases_of_rules_that_changed_and_no_others(desk: Desk) -> None:
    other = Bucket("local", "main", "tokens", "sliding", 60)
    desk.ledger.confirm(await desk.with_lease(5))
    request = await desk.waits(bucket=other)
    desk.grant(5)
    await outcome(request)
    desk.ledger.changed({BUCKET: LIMIT, other: None}.get)
    desk.pass_time(0.02)

    assert isinstance(desk.spend(), Admitted)
    assert {report.bucket.limit_name: report.returned for report in desk.reports} == {"calls": 0, "tokens": 4}


async def test_a_raised_limit_ends_a_refusal(desk: Desk) -> None:
    await desk.waits()
    desk.refuse(retry_after_ms=30_000)
    desk.ledger.changed({BUCKET: LIMIT * 2}.get)

    assert desk.spend(limit=LIMIT * 2) is None


async def test_requests_that_wait_are_asked_for_again_under_a_changed_limit(desk: Desk) -> None:
    request = await desk.waits()
    old = desk.asks[-1]
    desk.ledger.changed({BUCKET: 50}.get)
    desk.grant(5, sequence=old.sequence)

    assert await outcomes([request]) == ["waits"]
    assert (desk.asks[-1].sequence, desk.asks[-1].limit) == (2, 50)


async def test_while_the_limiters_store_is_down_nobody_waits_and_the_limiter_is_down(desk: Desk) -> None:
    request = await desk.waits()
    desk.store_down()
    desk.store_down()

    assert await outcomes([request]) == ["Unavailable"]
    assert isinstance(await desk.wait(), Unavailable)
    assert desk.dependencies.is_down("limiter")


async def test_what_was_said_of_the_limiters_store_is_not_believed_for_long(desk: Desk) -> None:
    await desk.waits()
    desk.store_down()
    desk.store_down()
    desk.pass_time(30)
    request = await desk.waits()

    desk.grant(5)
    assert await outcomes([request]) == ["Admitted"]
    assert not desk.dependencies.is_down("limiter")


async def test_stopping_gives_everything_back_and_waits_for_the_limiter_to_know(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(5))
    draining = asyncio.create_task(desk.ledger.drain())
    await asyncio.sleep(0.02)
    assert not draining.done()
    desk.acknowledge()
    await draining

    assert desk.totals[-1] == (1, 1, 4, True)
    assert isinstance(await desk.wait(), Unavailable)


async def test_stopping_does_not_wait_for_a_limiter_that_is_not_there(desk: Desk) -> None:
    await desk.with_lease(5)
    desk.lose(desk.a, desk.b)

    await asyncio.wait_for(desk.ledger.drain(), 0.5)


async def test_idle_buckets_are_forgotten(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(1))
    for _ in range(70):
        desk.acknowledge()
        desk.pass_time(1.0)

    assert len(desk.ledger) == 0
    assert not desk.ledger.has_work


async def test_buckets_are_bounded_and_the_oldest_that_can_go_makes_room() -> None:
    desk = Desk(holdings_max=3)
    buckets = [Bucket("local", "main", "calls", "fixed", 60, (str(number),)) for number in range(6)]
    for bucket in buckets:
        request = await desk.waits(bucket=bucket)
        desk.grant(2)
        assert isinstance(await outcome(request), Admitted)

    assert len(desk.ledger) == 3
    assert isinstance(desk.spend(bucket=buckets[-1]), Admitted)
    desk.pass_time(0.02)
    assert {report.bucket for report in desk.reports} == set(buckets[:3])


async def test_when_every_bucket_waits_a_new_one_is_not_taken() -> None:
    desk = Desk(holdings_max=2)
    for number in range(2):
        await desk.waits(bucket=Bucket("local", "main", "calls", "fixed", 60, (str(number),)))

    assert isinstance(await desk.wait(), Unavailable)
