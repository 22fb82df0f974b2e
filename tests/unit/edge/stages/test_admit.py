"""Stage 5 over a real ledger whose limiter the test plays: what is spent, given back, shown, and kept from before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import cast

import pytest

from services.contracts.router.values import Gateway, Limit
from services.edge.exchange import Exchange
from services.edge.stages.admit import _GATEWAYS_REMEMBERED_MAX, Admission, Admitted, limit_headers
from services.kit.errors import LimiterUnavailable, LimitExceeded
from services.kit.names import SpanName
from tests.fakes.tracer import NotedSpan, NotingTracer
from tests.unit.edge.leases.desk import Desk


@dataclass
class Resolved:
    gateway: Gateway


@dataclass
class Received:
    plan: tuple[object, ...] = ("the only step",)


@dataclass
class Asking:
    """What the stage reads of a request, and what it writes."""

    resolved: Resolved
    received: Received = field(default_factory=Received)
    span: NotedSpan | None = None
    degraded: list[str] = field(default_factory=list)
    admitted: Admitted = field(default_factory=lambda: Admitted((), []))

    def note_degraded(self, dependency: str) -> None:
        self.degraded.append(dependency)

    @property
    def headers(self) -> list[str]:
        return limit_headers(self.admitted).splitlines()


def calls(name: str = "calls", *, limit: int = 1000, **changes: object) -> Limit:
    return Limit(name, "requests", limit, 60, "fixed", **changes)  # type: ignore[arg-type]  # fields by name


class Door:
    """A gateway's door: the stage, its ledger, and a desk in the limiter's place."""

    def __init__(self, *limits: Limit) -> None:
        self.desk = Desk()
        self.tracer = NotingTracer()
        self.admission = Admission(ledger=self.desk.ledger, tracer=self.tracer)
        self.gateway = Gateway("local", "main", limits=limits)

    def asking(self) -> Asking:
        return Asking(Resolved(self.gateway))

    async def enter(self, asking: Asking) -> Asking:
        waiting = self.admission.admit(cast("Exchange", asking))
        if waiting is not None:
            await waiting
        return asking

    async def opened(self, units: int = 9) -> Asking:
        """A request that waits for a lease under each limit, and gets them."""
        entering = asyncio.create_task(self.enter(self.asking()), name="request")
        for _ in self.gateway.limits:
            await asyncio.sleep(0)
            self.desk.grant(units)
        return await entering

    def at_once(self) -> Asking:
        """A request that leases at hand admit."""
        asking = self.asking()
        assert self.admission.admit(cast("Exchange", asking)) is None
        return asking


async def test_leases_at_hand_admit_without_waiting() -> None:
    door = Door(calls("one"), calls("two"))
    await door.opened(units=9)
    asking = door.at_once()

    assert asking.headers == [
        'RateLimit-Policy: "one";q=1000;w=60, "two";q=1000;w=60',
        'RateLimit: "one";r=507;t=30, "two";r=507;t=30',
    ]


async def test_a_request_that_waits_is_shown_the_same_headers() -> None:
    door = Door(calls("one"), calls("two"))
    asking = await door.opened(units=9)

    assert asking.headers[1] == 'RateLimit: "one";r=508;t=30, "two";r=508;t=30'


async def test_a_gateway_without_limits_shows_none() -> None:
    assert Door().at_once().headers == []


async def test_a_limits_name_may_hold_a_percent_sign() -> None:
    door = Door(calls("100%d"))
    await door.opened()

    assert door.at_once().headers[1] == 'RateLimit: "100%d";r=507;t=30'


async def test_what_one_limit_refuses_the_others_get_back() -> None:
    door = Door(calls("one"), calls("two"))
    await door.opened(units=9)
    door.desk.ledger.changed(lambda bucket: 1000 if bucket.limit_name == "one" else 5)
    door.gateway = Gateway("local", "main", limits=(calls("one"), calls("two", limit=5)))
    asking = door.asking()
    entering = asyncio.create_task(door.enter(asking), name="request")
    await asyncio.sleep(0)
    door.desk.refuse(retry_after_ms=2_000, reset_ms=9_000)
    with pytest.raises(LimitExceeded) as refused:
        await entering

    assert refused.value.retry_after_s == 2
    assert asking.headers[1] == 'RateLimit: "one";r=507;t=30, "two";r=0;t=9'
    with pytest.raises(LimitExceeded):
        door.at_once()
    door.gateway = Gateway("local", "main", limits=(calls("one"),))
    assert door.at_once().headers[1] == 'RateLimit: "one";r=507;t=30'


async def test_a_refusal_known_already_is_told_at_once() -> None:
    door = Door(calls())
    entering = asyncio.create_task(door.enter(door.asking()), name="request")
    await asyncio.sleep(0)
    door.desk.refuse(retry_after_ms=30_000, reset_ms=30_000)
    with pytest.raises(LimitExceeded):
        await entering
    door.desk.pass_time(1.0)
    asking = door.asking()
    with pytest.raises(LimitExceeded, match="limit 'calls' of 1000 requests per 60 s is used up"):
        door.admission.admit(cast("Exchange", asking))

    assert asking.headers == ['RateLimit-Policy: "calls";q=1000;w=60', 'RateLimit: "calls";r=0;t=28']


async def test_only_a_request_that_waits_has_a_span_for_it() -> None:
    door = Door(calls("one"), calls("two"))
    for is_first in (True, False):
        asking = door.asking()
        asking.span = NotedSpan(SpanName.REQUEST, "", "server", {}, ())
        entering = asyncio.create_task(door.enter(asking), name="request")
        await asyncio.sleep(0)
        door.desk.grant(9)
        await asyncio.sleep(0)
        if is_first:
            door.desk.refuse(retry_after_ms=30_000)
        with pytest.raises(LimitExceeded):
            await entering
        door.desk.pass_time(0.2)

    assert [span.name for span in door.tracer.spans] == [SpanName.ADMIT] * 3


async def test_one_new_rule_of_a_gateway_is_enough_for_the_next_request_to_obey_it() -> None:
    door = Door(calls(limit=1000))
    await door.opened()
    door.gateway = Gateway("local", "main", limits=(calls(limit=7),))
    await door.opened()

    assert (door.desk.asks[-1].limit, len(door.desk.asks)) == (7, 2)
    assert door.at_once().headers[0] == 'RateLimit-Policy: "calls";q=7;w=60'


async def test_what_is_remembered_of_gateways_ends_with_their_snapshot() -> None:
    door = Door(calls())
    await door.opened()
    assert len(door.admission) == 1
    door.desk.ledger.changed(lambda _: 1000)

    assert len(door.admission) == 0


async def test_gateways_remembered_are_bounded() -> None:
    door = Door()
    for number in range(_GATEWAYS_REMEMBERED_MAX + 1):
        door.gateway = Gateway("local", str(number), limits=(calls(key=("token",)),))
        waiting = door.admission.admit(cast("Exchange", door.asking()))
        assert isinstance(waiting, Coroutine)
        waiting.close()

    assert len(door.admission) == 1


async def test_a_bucket_that_was_forgotten_is_asked_for_anew_and_spent_from_then() -> None:
    door = Door(calls())
    door.admission.confirm((await door.opened()).admitted)
    for _ in range(70):
        door.desk.acknowledge()
        door.desk.pass_time(1.0)
    assert len(door.desk.ledger) == 0
    await door.opened()

    assert door.at_once().headers[1] == 'RateLimit: "calls";r=507;t=30'


async def test_a_confirmed_request_is_reported_once_under_each_limit() -> None:
    door = Door(calls("one"), calls("two"))
    asking = await door.opened()
    door.admission.confirm(asking.admitted)
    door.admission.confirm(asking.admitted)
    door.desk.pass_time(0.02)

    assert {report.bucket.limit_name: report.spent for report in door.desk.reports} == {"one": 1, "two": 1}


async def test_a_limit_that_cannot_be_decided_does_what_its_fail_mode_says() -> None:
    open_door, closed_door = Door(calls()), Door(calls(fail_mode="closed"))
    for door in (open_door, closed_door):
        door.desk.lose(door.desk.a, door.desk.b)
        door.desk.pass_time(1.1)

    assert (await open_door.enter(open_door.asking())).degraded == ["limiter"]
    with pytest.raises(LimiterUnavailable):
        await closed_door.enter(closed_door.asking())


async def test_a_limit_that_cannot_be_decided_is_shown_as_used_up_until_the_client_may_try_again() -> None:
    door = Door(calls("one"), calls("two", fail_mode="closed"))
    await door.opened(units=9)
    door.desk.lose(door.desk.a, door.desk.b)
    door.desk.pass_time(1.1)
    asking = door.asking()
    with pytest.raises(LimiterUnavailable) as undecided:
        await door.enter(asking)

    assert undecided.value.retry_after_s == 1
    assert asking.headers[1].split(", ")[-1] == '"two";r=0;t=1'
