"""Own headers: laid out once for what comes again, never shown for what is different, and a bounded number of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from services.edge.own_headers import OWN_LINES_MAX, own_headers
from services.edge.plan import StepForm
from services.edge.stages.admit import Admitted, Rule


def rule(name: str) -> Rule:
    return Rule(cast(Any, SimpleNamespace(name=name)), None, True, f'"{name}";q=5', f'"{name}";r=%d;t=%d', "")


def leased(remaining: int) -> Any:
    return SimpleNamespace(remaining=remaining, reset_s=60.0)


def form() -> StepForm:
    return StepForm(cast(Any, None), cast(Any, None))


def lines(
    form: StepForm | None,
    *,
    model: str = "m",
    cache_status: str = "MISS",
    admitted: Admitted | None = None,
    degraded: tuple[str, ...] = (),
) -> list[str]:
    exchange: Any = SimpleNamespace(
        log_id="id",
        marks_s=[1.001, 1.003, 1.006, 1.010],
        provider_wait_s=0.5,
        arrival=SimpleNamespace(arrived_s=1.0),
        admitted=admitted or Admitted((), []),
        recalled=SimpleNamespace(status=cache_status),
        resolved=SimpleNamespace(snapshot=SimpleNamespace(version="v1")),
        degraded=degraded,
    )
    step: Any = SimpleNamespace(
        index=0,
        form=form,
        provider=SimpleNamespace(name="p%s"),
        facts=SimpleNamespace(model=model),
        options=SimpleNamespace(event_id="e"),
    )
    return own_headers(exchange, step, 1.511).decode().splitlines()


def test_an_answer_says_who_gave_it_and_where_its_time_went() -> None:
    assert lines(None) == [
        "cf-aig-log-id: id",
        "Server-Timing: resolve;dur=1.000, receive;dur=2.000, admit;dur=3.000, recall;dur=4.000, "
        "provider;dur=500.000, gateway;dur=11.000",
        "cf-aig-step: 0",
        "cf-aig-provider: p%s",
        "cf-aig-model: m",
        "cf-aig-event-id: e",
        "cf-aig-config-version: v1",
        "cf-aig-cache-status: MISS",
    ]


def test_what_differs_under_one_head_differs_in_the_lines() -> None:
    known, five, six = form(), rule("five"), rule("six")

    for _ in range(2):
        assert lines(known) == lines(None)
        assert "cf-aig-model: other%d" in lines(known, model="other%d")
        assert "cf-aig-cache-status: HIT" in lines(known, cache_status="HIT")
        assert "cf-aig-degraded: limiter,cache" in lines(known, degraded=("limiter", "cache"))
        for number, each in enumerate((five, six)):
            shown = lines(known, admitted=Admitted((each,), [leased(number)]))
            assert shown[-2:] == [f"RateLimit-Policy: {each.policy}", f"RateLimit: {each.item % (number, 60)}"]
    assert len(known.own_lines) == 5


def test_limits_that_gave_back_what_was_spent_are_shown_even_so() -> None:
    known, five = form(), rule("five")

    shown = lines(known, admitted=Admitted((), [], returned=((five, leased(4)),)))

    assert shown[-1] == 'RateLimit: "five";r=4;t=60'


def test_few_lines_are_remembered_for_one_head() -> None:
    known = form()

    for number in range(1000):
        lines(known, model=f"m{number}")

    assert len(known.own_lines) <= OWN_LINES_MAX
