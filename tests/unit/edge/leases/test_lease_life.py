"""A lease's life at the edge: validity, giving back, reports; messages that are lost, late, doubled or reordered."""

from __future__ import annotations

import pytest

from services.contracts.limiter.values import Refusal, ReportAck
from services.edge.leases.values import Admitted, Refused, Unavailable, parts
from tests.unit.edge.leases.desk import BUCKET, Desk, outcome, outcomes


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_a_lease_stops_at_nine_tenths_of_its_validity_counted_from_the_first_ask(desk: Desk) -> None:
    await desk.waits()
    desk.pass_time(0.3)
    desk.grant(9)
    desk.clock.advance(0.599)
    assert isinstance(desk.spend(), Admitted)
    desk.clock.advance(0.002)

    assert desk.spend() is None


async def test_a_suspended_machine_wakes_up_with_a_lease_that_has_ended(desk: Desk) -> None:
    await desk.with_lease(9)
    desk.clock.suspend(2)

    assert desk.spend() is None


async def test_a_grant_that_comes_too_late_is_given_back_and_asked_for_anew(desk: Desk) -> None:
    request = await desk.waits()
    desk.pass_time(0.1)
    desk.grant(5, valid_ms=100)
    desk.pass_time(0.02)

    assert await outcomes([request]) == ["waits"]
    assert desk.asks[-1].sequence == 2
    assert desk.totals == [(1, 0, 5, True)]


async def test_a_request_that_collects_keeps_nothing_of_a_lease_that_has_ended(desk: Desk) -> None:
    request = await desk.waits(5)
    desk.grant(3)
    desk.pass_time(1)
    desk.grant(2)

    assert await outcomes([request]) == ["waits"]
    assert desk.asks[-1].waiting == 3

    desk.grant(3)
    admitted = await outcome(request)
    assert isinstance(admitted, Admitted)
    assert [units for _, units in parts(admitted.source, admitted.units, admitted.earlier)] == [2, 3]


async def test_a_lease_unused_for_100_ms_is_given_back(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(5))
    desk.pass_time(0.09)
    assert desk.totals[-1] == (1, 1, 0, False)
    desk.pass_time(0.04)

    assert desk.totals[-1] == (1, 1, 4, True)
    assert desk.spend() is None


async def test_a_lease_in_use_is_given_back_at_80_percent_of_its_validity(desk: Desk) -> None:
    await desk.with_lease(500, remaining=0)
    for _ in range(79):
        desk.spend_many(1)
        desk.pass_time(0.01)
    assert desk.spend_many(1)
    desk.pass_time(0.03)

    assert desk.totals[-1][2] == 500 - 81
    assert desk.spend() is None


async def test_at_80_percent_a_busy_bucket_asks_at_once_while_there_is_plenty(desk: Desk) -> None:
    await desk.with_lease(90, remaining=800)
    for _ in range(82):
        desk.spend()
        desk.pass_time(0.01)

    assert [(ask.sequence, ask.waiting) for ask in desk.asks][:2] == [(1, 1), (2, 0)]


async def test_units_are_reported_spent_when_confirmed_and_not_before(desk: Desk) -> None:
    first = await desk.with_lease(5)
    second = desk.spend_many(1)[0]
    desk.pass_time(0.02)
    assert desk.totals == []
    desk.ledger.confirm(first)
    desk.pass_time(0.02)
    assert desk.totals == [(1, 1, 0, False)]
    desk.ledger.confirm(second)
    desk.pass_time(0.02)

    assert desk.totals[-1] == (1, 2, 0, False)


async def test_a_used_up_lease_is_closed_only_when_its_last_unit_is_confirmed(desk: Desk) -> None:
    first = await desk.with_lease(2)
    second = desk.spend_many(1)[0]
    desk.ledger.confirm(second)
    desk.pass_time(0.02)
    assert desk.totals == [(1, 1, 0, False)]
    desk.ledger.confirm(first)
    desk.pass_time(0.02)

    assert desk.totals[-1] == (1, 2, 0, True)


async def test_a_report_is_repeated_every_50_ms_until_acknowledged(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(1))
    desk.pass_time(0.02)
    desk.pass_time(0.1)
    assert desk.totals == [(1, 1, 0, True)] * 3
    desk.acknowledge()
    desk.pass_time(0.3)

    assert len(desk.totals) == 3
    assert not desk.ledger.has_work


async def test_changes_of_two_ticks_make_one_report(desk: Desk) -> None:
    first = await desk.with_lease(3)
    second = desk.spend_many(1)[0]
    desk.ledger.confirm(first)
    desk.pass_time(0.01)
    before = list(desk.totals)
    desk.ledger.confirm(second)
    desk.pass_time(0.01)

    assert before == []
    assert desk.totals == [(1, 2, 0, False)]


async def test_an_acknowledgement_of_older_totals_does_not_end_the_repetition(desk: Desk) -> None:
    first = await desk.with_lease(2)
    second = desk.spend_many(1)[0]
    desk.ledger.confirm(first)
    desk.pass_time(0.02)
    desk.ledger.confirm(second)
    desk.pass_time(0.02)
    desk.answer(ReportAck(BUCKET, 1, 1, 0, is_closed=False))
    desk.pass_time(0.06)

    assert desk.totals == [(1, 1, 0, False), (1, 2, 0, True), (1, 2, 0, True)]


async def test_reports_end_when_the_lease_can_no_longer_matter(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(1))
    desk.pass_time(2.1)
    sent = len(desk.totals)
    desk.pass_time(1.0)

    assert len(desk.totals) == sent
    assert not desk.ledger.has_work


async def test_an_admitted_unit_given_back_is_spent_by_another(desk: Desk) -> None:
    desk.ledger.give_back(await desk.with_lease(1, remaining=0))
    desk.pass_time(0.02)

    assert desk.totals == [(1, 0, 1, True)]


async def test_a_unit_given_back_while_its_lease_lives_can_be_spent_again(desk: Desk) -> None:
    first = await desk.with_lease(2)
    desk.ledger.give_back(first)

    assert len(desk.spend_many(2)) == 2


@pytest.mark.parametrize("ending", ["confirm", "give_back"])
async def test_a_request_can_be_closed_only_once(desk: Desk, ending: str) -> None:
    admitted = await desk.with_lease(3)
    getattr(desk.ledger, ending)(admitted)
    desk.ledger.confirm(admitted)
    desk.ledger.give_back(admitted)
    desk.ledger.settle(admitted, 0)
    desk.pass_time(0.2)

    assert desk.totals[-1] == ((1, 1, 2, True) if ending == "confirm" else (1, 0, 3, True))


async def test_less_than_reserved_goes_back_to_the_lease(desk: Desk) -> None:
    request = await desk.waits(6)
    desk.grant(7)
    admitted = await outcome(request)
    assert isinstance(admitted, Admitted)
    desk.ledger.settle(admitted, 2)
    desk.pass_time(0.02)

    assert desk.totals == [(1, 2, 0, False)]
    assert isinstance(desk.spend(5), Admitted)


async def test_more_than_reserved_is_charged_to_the_lease_and_the_rest_to_the_next(desk: Desk) -> None:
    request = await desk.waits(4)
    desk.grant(6)
    admitted = await outcome(request)
    assert isinstance(admitted, Admitted)
    desk.ledger.settle(admitted, 9)
    assert desk.asks[-1].waiting == 3
    desk.grant(5)
    desk.pass_time(0.02)

    assert [totals for totals in desk.totals if totals[0] == 1][-1] == (1, 6, 0, True)
    assert isinstance(desk.spend(2), Admitted)


async def test_settling_after_a_confirmation_charges_only_what_was_more_and_once(desk: Desk) -> None:
    admitted = await desk.with_lease(9)
    desk.ledger.confirm(admitted)
    desk.ledger.settle(admitted, 0)
    desk.ledger.settle(admitted, 3)
    desk.ledger.settle(admitted, 3)
    desk.pass_time(0.02)

    assert desk.totals == [(1, 3, 0, False)]


async def test_a_grant_is_taken_once_however_often_it_comes(desk: Desk) -> None:
    await desk.waits()
    grant = desk.grant(3)
    desk.spend_many(2)
    for _ in range(3):
        desk.answer(grant)

    assert desk.spend() is None


async def test_a_late_grant_of_an_ask_given_up_does_nothing(desk: Desk) -> None:
    request = await desk.waits()
    desk.pass_time(0.85)
    assert desk.asks[-1].sequence == 2
    desk.grant(9, sequence=1)

    assert await outcomes([request]) == ["waits"]


async def test_an_ask_given_up_is_closed_with_a_report(desk: Desk) -> None:
    await desk.waits()
    desk.pass_time(0.85)

    assert desk.totals[0] == (1, 0, 0, True)


async def test_an_unanswered_ask_is_repeated_every_50_ms_with_its_sequence_on_the_next_replica(desk: Desk) -> None:
    await desk.waits()
    desk.pass_time(0.15)

    assert [ask.sequence for ask in desk.asks] == [1, 1, 1, 1]
    assert (len(desk.a.sent), len(desk.b.sent)) == (2, 2)


async def test_an_ask_answered_closed_is_made_anew_with_a_higher_sequence(desk: Desk) -> None:
    await desk.waits()
    desk.close()

    assert [ask.sequence for ask in desk.asks] == [1, 2]


async def test_a_late_refusal_does_not_take_back_a_newer_grant(desk: Desk) -> None:
    request = await desk.waits()
    desk.close()
    desk.grant(5)
    await outcome(request)
    desk.answer(Refusal(BUCKET, 1, 100, 30_000, 2))

    assert isinstance(desk.spend(), Admitted)


async def test_when_a_stream_is_lost_its_ask_goes_to_another_replica_at_once(desk: Desk) -> None:
    request = await desk.waits()
    desk.lose(desk.a)

    assert [ask.sequence for ask in desk.b.sent if ask == desk.asks[0]] == [1]
    assert await outcomes([request]) == ["waits"]


async def test_when_no_replica_is_left_nobody_waits(desk: Desk) -> None:
    request = await desk.waits()
    desk.lose(desk.a, desk.b)

    assert isinstance(await outcome(request), Unavailable)
    assert isinstance(await desk.wait(), Unavailable)


async def test_a_lease_is_spent_on_while_the_limiter_is_away(desk: Desk) -> None:
    await desk.with_lease(5)
    desk.lose(desk.a, desk.b)

    assert isinstance(desk.spend(), Admitted)


async def test_a_reopened_stream_hears_the_open_ask_and_the_reports_again(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(1))
    await desk.waits()
    desk.lose(desk.a, desk.b)
    desk.pass_time(0.02)
    sent = len(desk.a.sent)
    desk.reopen(desk.a)
    desk.pass_time(0.06)

    again = desk.a.sent[sent:]
    assert {type(item).__name__ for item in again} == {"Ask", "Report"}
    assert {item.sequence for item in again} == {1, 2}


async def test_it_recovers_by_itself_when_a_replica_comes_back(desk: Desk) -> None:
    await desk.waits()
    desk.lose(desk.a, desk.b)
    desk.pass_time(3.0)
    desk.reopen(desk.b)
    request = await desk.waits()
    desk.grant(1)

    assert isinstance(await outcome(request), Admitted)


async def test_before_the_first_stream_stands_requests_wait_a_second_for_it() -> None:
    desk = Desk(is_up=False)
    early = await desk.waits()
    desk.pass_time(0.5)
    assert await outcomes([early]) == ["waits"]
    desk.reopen(desk.a)
    desk.grant(1)

    assert isinstance(await outcome(early), Admitted)


async def test_a_limiter_that_never_comes_is_out_of_reach_after_a_second() -> None:
    desk = Desk(is_up=False)
    early = await desk.waits()
    desk.pass_time(1.1)

    assert isinstance(await outcome(early), Unavailable)


async def test_a_store_that_is_down_at_one_replica_is_asked_through_the_other(desk: Desk) -> None:
    request = await desk.waits()
    desk.store_down()
    assert await outcomes([request]) == ["waits"]
    assert len(desk.b.sent) == 1
    desk.grant(1)

    assert isinstance(await outcome(request), Admitted)


async def test_a_store_that_is_down_everywhere_is_out_of_reach_until_it_answers_again(desk: Desk) -> None:
    request = await desk.waits()
    desk.store_down()
    desk.store_down()
    assert isinstance(await outcome(request), Unavailable)
    assert isinstance(await desk.wait(), Unavailable)
    desk.pass_time(0.3)
    desk.grant(2)

    assert isinstance(desk.spend(), Admitted)


async def test_in_open_mode_an_edge_may_spend_its_even_share_less_what_it_spent_from_leases(desk: Desk) -> None:
    desk.ledger.confirm(await desk.with_lease(7))
    desk.spend_many(3)
    desk.lose(desk.a, desk.b)
    desk.pass_time(0.2)
    allowed = [desk.ledger.spend_degraded(BUCKET, limit=20) for _ in range(7)]

    assert [type(one).__name__ for one in allowed] == ["Admitted"] * 6 + ["Refused"]


async def test_the_allowance_begins_anew_with_its_window(desk: Desk) -> None:
    first = desk.ledger.spend_degraded(BUCKET, limit=1)
    second = desk.ledger.spend_degraded(BUCKET, limit=1)
    assert isinstance(second, Refused)
    desk.clock.advance(second.retry_after_ms / 1000)

    assert isinstance(first, Admitted)
    assert isinstance(desk.ledger.spend_degraded(BUCKET, limit=1), Admitted)


async def test_an_allowance_given_back_may_be_spent_again(desk: Desk) -> None:
    first = desk.ledger.spend_degraded(BUCKET, limit=1)
    assert isinstance(first, Admitted)
    desk.ledger.give_back(first)

    assert isinstance(desk.ledger.spend_degraded(BUCKET, limit=1), Admitted)
