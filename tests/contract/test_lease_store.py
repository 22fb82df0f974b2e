"""Lease stores: memory and Redis decide alike, rule by rule (docs/leases.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
)
from services.kit.redis import open_redis
from tests.contract.lease_stores import FIXED, SLIDING, InMemory, InRedis, Stored, ask, report
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["memory", "redis"])
async def stored(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Stored]:
    if request.param == "memory":
        yield InMemory()
        return
    async with open_redis(server.url, timeout_s=5) as client:
        await client.flushall()
        yield InRedis(client)  # type: ignore[arg-type]  # not a cluster


async def one(stored: Stored, request: LeaseRequest) -> LeaseAnswer:
    return (await stored.decide(request))[0]


async def spend(stored: Stored, bucket: Bucket, units: int, *, limit: int, sequence: int = 900) -> None:
    """Have so many units spent and reported by one edge, in leases as big as they get."""
    while units:
        grant = await one(stored, ask(bucket, sequence, edge="spender", limit=limit, waiting=units))
        assert isinstance(grant, Grant)
        await one(stored, report(bucket, sequence, edge="spender", spent=grant.units, is_closed=True))
        units -= grant.units
        sequence += 1


async def test_a_repeated_ask_finds_its_lease_unchanged(stored: Stored) -> None:
    first = await one(stored, ask(FIXED, waiting=5))
    stored.clock.advance(0.4)
    await one(stored, report(FIXED, spent=2))
    again = await one(stored, ask(FIXED, waiting=70))

    assert isinstance(first, Grant)
    assert isinstance(again, Grant)
    assert (again.units, again.valid_ms) == (first.units, first.valid_ms) == (5, 1000)


async def test_a_repeated_ask_holds_nothing_more(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=5))
    again = await one(stored, ask(FIXED, waiting=5))

    assert isinstance(again, Grant)
    assert again.remaining == 995


async def test_the_same_sequence_of_another_edge_is_another_lease(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=5))
    other = await one(stored, ask(FIXED, edge="B", waiting=3))

    assert isinstance(other, Grant)
    assert (other.units, other.remaining) == (3, 992)


async def test_an_ask_not_above_the_highest_closed_is_answered_closed(stored: Stored) -> None:
    await one(stored, ask(FIXED, 7))
    await one(stored, report(FIXED, 7, spent=1, is_closed=True))

    assert await stored.decide(ask(FIXED, 7), ask(FIXED, 6)) == [Closed(FIXED, 7), Closed(FIXED, 6)]
    assert isinstance(await one(stored, ask(FIXED, 8)), Grant)
    assert isinstance(await one(stored, ask(FIXED, 6, edge="B")), Grant)


async def test_closing_a_sequence_never_seen_closes_its_late_ask(stored: Stored) -> None:
    await one(stored, report(FIXED, 3, is_closed=True))

    assert await one(stored, ask(FIXED, 3)) == Closed(FIXED, 3)


async def test_a_lease_that_expired_is_closed(stored: Stored) -> None:
    await one(stored, ask(FIXED, 1))
    stored.clock.advance(1.0)

    assert await one(stored, ask(FIXED, 1)) == Closed(FIXED, 1)


async def test_an_older_lease_is_still_settled_after_a_newer_one_closed(stored: Stored) -> None:
    await stored.decide(ask(FIXED, 1, waiting=5), ask(FIXED, 2, waiting=1))
    await stored.decide(report(FIXED, 2, spent=1, is_closed=True), report(FIXED, 1, returned=5, is_closed=True))
    after = await one(stored, ask(FIXED, 3))

    assert isinstance(after, Grant)
    assert after.remaining == 998


async def test_a_lease_expires_exactly_at_grant_and_validity(stored: Stored) -> None:
    grant = await one(stored, ask(SLIDING, waiting=5))
    stored.clock.advance(0.999)
    before = await one(stored, ask(SLIDING))
    stored.clock.advance(0.001)
    after = await one(stored, ask(SLIDING))

    assert isinstance(grant, Grant)
    assert grant.valid_ms == 1000
    assert isinstance(before, Grant)
    assert isinstance(after, Closed)


async def test_in_a_fixed_window_a_lease_is_valid_for_at_most_the_rest(stored: Stored) -> None:
    stored.clock.advance(9.7)
    grant = await one(stored, ask(FIXED))

    assert isinstance(grant, Grant)
    assert (grant.valid_ms, grant.reset_ms) == (300, 300)


async def test_a_buckets_time_never_goes_back(stored: Stored) -> None:
    stored.clock.advance(10)
    await one(stored, ask(FIXED, waiting=5))
    stored.clock.step_wall(-8)
    grant = await one(stored, ask(FIXED, 2))

    assert isinstance(grant, Grant)
    assert (grant.reset_ms, grant.remaining) == (10_000, 994)


async def test_reports_are_totals_so_repeated_and_reordered_ones_change_nothing(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=7))
    for spent, returned in ((3, 0), (5, 2), (3, 0), (5, 2)):
        await one(stored, report(FIXED, spent=spent, returned=returned))
    after = await one(stored, ask(FIXED, 2, waiting=1))

    assert isinstance(after, Grant)
    assert after.remaining == 1000 - 5 - 1


async def test_a_report_is_acknowledged_with_its_totals(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=7))

    assert await one(stored, report(FIXED, spent=3, returned=1)) == ReportAck(FIXED, 1, 3, 1, is_closed=False)


async def test_a_report_of_an_unknown_lease_is_acknowledged_and_changes_nothing(stored: Stored) -> None:
    answer = await one(stored, report(FIXED, 4, spent=3))
    after = await one(stored, ask(FIXED, 4))

    assert answer == ReportAck(FIXED, 4, 3, 0, is_closed=False)
    assert isinstance(after, Grant)
    assert after.remaining == 999


async def test_a_report_never_spends_more_than_its_lease_has(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=2))
    await one(stored, report(FIXED, spent=50, returned=50))
    after = await one(stored, ask(FIXED, 2))

    assert isinstance(after, Grant)
    assert after.remaining == 1000 - 2 - 1


async def test_closing_gives_back_what_was_not_spent(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=7))
    await one(stored, report(FIXED, spent=2, is_closed=True))
    after = await one(stored, ask(FIXED, 2))

    assert isinstance(after, Grant)
    assert after.remaining == 1000 - 2 - 1


async def test_what_is_not_reported_at_expiry_is_spent(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=7))
    await one(stored, report(FIXED, spent=2, returned=1))
    stored.clock.advance(1.0)
    after = await one(stored, ask(FIXED, 2))

    assert isinstance(after, Grant)
    assert after.remaining == 1000 - 6 - 1


async def test_reports_after_expiry_are_ignored(stored: Stored) -> None:
    await one(stored, ask(FIXED, waiting=7))
    stored.clock.advance(1.0)
    await one(stored, report(FIXED, returned=7, is_closed=True))
    after = await one(stored, ask(FIXED, 2))

    assert isinstance(after, Grant)
    assert after.remaining == 1000 - 7 - 1


async def test_in_a_sliding_window_unreported_units_enter_at_the_expirys_time(stored: Stored) -> None:
    await one(stored, ask(SLIDING, limit=1))
    stored.clock.advance(1.0 + 128 - 0.001)
    before = await one(stored, ask(SLIDING, 2, limit=1))
    stored.clock.advance(0.001)
    after = await one(stored, ask(SLIDING, 3, limit=1))

    assert isinstance(before, Refusal)
    assert isinstance(after, Grant)


async def test_a_lease_that_expired_with_its_window_is_not_charged_to_the_next(stored: Stored) -> None:
    stored.clock.advance(9.5)
    await one(stored, ask(FIXED, limit=1))
    stored.clock.advance(0.5)

    assert isinstance(await one(stored, ask(FIXED, 2, limit=1)), Grant)


@pytest.mark.parametrize(
    ("limit", "waiting", "ahead", "units"),
    [
        (1000, 0, 0, 1),
        (1000, 3, 0, 3),
        (1000, 3, 2, 5),
        (1000, 50, 0, 7),
        (1000, 0, 500, 7),
        (20, 5, 5, 1),
        (100_000, 100, 900, 781),
        (100_000, 100, 300, 400),
    ],
)
async def test_a_grant_is_what_waits_and_what_comes_next_within_its_bounds(
    stored: Stored, limit: int, waiting: int, ahead: int, units: int
) -> None:
    grant = await one(stored, ask(FIXED, limit=limit, waiting=waiting, ahead=ahead))

    assert isinstance(grant, Grant)
    assert (grant.units, grant.remaining) == (units, limit - units)


async def test_of_little_that_remains_an_edge_gets_ahead_only_a_quarter_of_its_even_share(stored: Stored) -> None:
    await spend(stored, FIXED, 12_000, limit=12_800)
    await stored.decide(*[ask(FIXED, edge=edge, limit=12_800) for edge in "BCD"])
    grant = await one(stored, ask(FIXED, limit=12_800, waiting=1, ahead=100))

    assert isinstance(grant, Grant)
    assert grant.edges == 5
    assert grant.units == 1 + (800 - 3 - 1) // (4 * 5)


async def test_more_waiting_than_remains_gets_what_remains(stored: Stored) -> None:
    await spend(stored, FIXED, 998, limit=1000)
    grant = await one(stored, ask(FIXED, waiting=60))

    assert isinstance(grant, Grant)
    assert (grant.units, grant.remaining) == (2, 0)


async def test_edges_are_those_heard_of_in_the_last_30_s(stored: Stored) -> None:
    for edge in "ABC":
        await one(stored, ask(FIXED, edge=edge))
    stored.clock.advance(29.9)
    await one(stored, ask(FIXED, 2, edge="A"))
    stored.clock.advance(1.5)
    await one(stored, ask(FIXED, 3, edge="A"))
    grant = await one(stored, ask(FIXED, 1, edge="D"))

    assert isinstance(grant, Grant)
    assert grant.edges == 2


async def test_all_spent_in_a_fixed_window_is_refused_to_its_end(stored: Stored) -> None:
    stored.clock.advance(3.0)
    await spend(stored, FIXED, 10, limit=10)

    assert await one(stored, ask(FIXED, limit=10)) == Refusal(FIXED, 1, 7000, 7000, 2)


async def test_while_leases_are_held_a_refusal_lasts_100_ms(stored: Stored) -> None:
    await one(stored, ask(FIXED, limit=1))

    assert await one(stored, ask(FIXED, edge="B", limit=1)) == Refusal(FIXED, 1, 100, 10_000, 2)


async def test_a_refusal_lasts_to_the_next_lease_expiry(stored: Stored) -> None:
    await one(stored, ask(FIXED, limit=1))
    stored.clock.advance(0.960)
    refusal = await one(stored, ask(FIXED, edge="B", limit=1))

    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_ms == 40


async def test_in_a_sliding_window_a_refusal_lasts_to_the_next_sub_bucket(stored: Stored) -> None:
    await spend(stored, SLIDING, 10, limit=10)
    stored.clock.advance(50)
    far = await one(stored, ask(SLIDING, limit=10))
    stored.clock.advance(128 - 50 - 0.030)
    near = await one(stored, ask(SLIDING, limit=10))

    assert isinstance(far, Refusal)
    assert (far.retry_after_ms, far.reset_ms) == (100, 78_000)
    assert isinstance(near, Refusal)
    assert (near.retry_after_ms, near.reset_ms) == (30, 30)


async def test_a_refused_sequence_may_still_be_granted(stored: Stored) -> None:
    await one(stored, ask(FIXED, edge="B", limit=1))
    refusal = await one(stored, ask(FIXED, limit=1))
    await one(stored, report(FIXED, edge="B", returned=1, is_closed=True))

    assert isinstance(refusal, Refusal)
    assert isinstance(await one(stored, ask(FIXED, limit=1)), Grant)


async def test_a_limit_of_nothing_refuses_everything(stored: Stored) -> None:
    assert isinstance(await one(stored, ask(FIXED, limit=0)), Refusal)
    assert isinstance(await one(stored, ask(SLIDING, limit=0)), Refusal)


async def test_a_fixed_window_begins_at_a_multiple_of_its_length(stored: Stored) -> None:
    stored.clock.advance(9.0)
    await spend(stored, FIXED, 10, limit=10)
    stored.clock.advance(0.999)
    before = await one(stored, ask(FIXED, limit=10))
    stored.clock.advance(0.001)
    after = await one(stored, ask(FIXED, limit=10))

    assert isinstance(before, Refusal)
    assert isinstance(after, Grant)
    assert after.remaining == 9


async def test_in_a_sliding_window_units_leave_when_their_whole_sub_bucket_is_out(stored: Stored) -> None:
    stored.clock.advance(0.3)
    await spend(stored, SLIDING, 10, limit=10)
    stored.clock.advance(128 - 0.3 - 0.001)
    before = await one(stored, ask(SLIDING, limit=10))
    stored.clock.advance(0.001)
    after = await one(stored, ask(SLIDING, limit=10))

    assert isinstance(before, Refusal)
    assert isinstance(after, Grant)


async def test_in_a_sliding_window_units_enter_when_the_store_hears_of_them(stored: Stored) -> None:
    await one(stored, ask(SLIDING, limit=1))
    stored.clock.advance(0.9)
    await one(stored, report(SLIDING, spent=1, is_closed=True))
    stored.clock.advance(127.0)
    before = await one(stored, ask(SLIDING, 2, limit=1))
    stored.clock.advance(0.1)
    after = await one(stored, ask(SLIDING, 3, limit=1))

    assert isinstance(before, Refusal)
    assert isinstance(after, Grant)


async def test_a_changed_limit_keeps_its_count(stored: Stored) -> None:
    await spend(stored, FIXED, 10, limit=10)
    raised = await one(stored, ask(FIXED, limit=15, waiting=9))
    lowered = await one(stored, ask(FIXED, 2, limit=5))

    assert isinstance(raised, Grant)
    assert raised.remaining == 4
    assert isinstance(lowered, Refusal)


@pytest.mark.parametrize(
    "other",
    [
        Bucket("other", "main", "calls", "fixed", 10),
        Bucket("local", "other", "calls", "fixed", 10),
        Bucket("local", "main", "other", "fixed", 10),
        Bucket("local", "main", "calls", "sliding", 10),
        Bucket("local", "main", "calls", "fixed", 5),
        Bucket("local", "main", "calls", "fixed", 10, ("ann",)),
    ],
)
async def test_another_identity_is_another_count(stored: Stored, other: Bucket) -> None:
    await spend(stored, FIXED, 10, limit=10)

    assert isinstance(await one(stored, ask(other, limit=10)), Grant)


async def test_an_idle_bucket_is_forgotten_by_itself(stored: Stored) -> None:
    await stored.decide(ask(FIXED), ask(SLIDING, limit=2))
    await stored.decide(report(SLIDING, spent=1, is_closed=True))

    assert not await stored.is_forgotten(SLIDING, after_s=127)
    assert await stored.is_forgotten(SLIDING, after_s=127 + 2 + 60)
    assert await stored.is_forgotten(FIXED, after_s=10 + 60)


async def test_a_bucket_remembers_the_closed_sequences_of_the_latest_1024_edges_at_most(stored: Stored) -> None:
    for number in range(1_100):
        stored.clock.advance(0.001)
        await stored.decide(report(FIXED, 5, edge=f"edge-{number}", is_closed=True))

    assert await one(stored, ask(FIXED, 5, edge="edge-1099")) == Closed(FIXED, 5)
    assert isinstance(await one(stored, ask(FIXED, 5, edge="edge-0")), Grant)


async def test_requests_of_one_message_are_decided_in_order(stored: Stored) -> None:
    answers = await stored.decide(
        ask(FIXED, 1, limit=1),
        report(FIXED, 1, returned=1, is_closed=True),
        ask(FIXED, 2, limit=1),
        ask(FIXED, 3, limit=1),
    )

    assert [type(answer) for answer in answers] == [Grant, ReportAck, Grant, Refusal]


def _requests() -> st.SearchStrategy[LeaseRequest | float]:
    small = st.integers(0, 12)
    bucket = st.sampled_from([Bucket("a", "g", "l", "fixed", 2), Bucket("a", "g", "l", "sliding", 2)])
    edge, sequence = st.sampled_from("AB"), st.integers(1, 6)
    asks = st.builds(Ask, edge, bucket, sequence, st.sampled_from([0, 1, 9, 300, 5000]), small, st.integers(0, 60))
    reports = st.builds(Report, edge, bucket, sequence, small, small, st.booleans(), st.just(9))
    pauses = st.sampled_from([0.001, 0.013, 0.2, 0.9, 1.0, 2.1, -0.5])
    return st.one_of(asks, asks, reports, pauses)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_requests(), max_size=40))
def test_memory_and_redis_give_the_same_answers(server: RedisServer, steps: list[LeaseRequest | float]) -> None:
    async def compare() -> None:
        async with open_redis(server.url) as client:
            await client.flushall()
            stores = InMemory(), InRedis(client)  # type: ignore[arg-type]  # not a cluster
            for step in steps:
                if isinstance(step, float):
                    for stored in stores:
                        stored.clock.step_wall(step)
                else:
                    answers = [await stored.decide(step) for stored in stores]
                    assert answers[0] == answers[1]

    asyncio.run(compare())
