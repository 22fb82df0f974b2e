"""Price data as rates: the same prices as the data's own calculation, and nothing where there is no price."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices import types

from services.contracts.router.values import Match, Tier
from services.dialects.catalogue import PRICE_LISTS
from services.dialects.money import cost_nanodollars, find_rate, fits
from services.dialects.usage import Usage
from services.router.prices import match_of, rates_from_prices, simulator_rates, standard_price, tiers_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RATES = rates_from_prices(PRICE_LISTS, now=NOW)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "text-embedding-3-small"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("google-ai-studio", "gemini-2.5-flash"),
        ("google-vertex-ai", "claude-sonnet-4@20250514"),
        ("azure-openai", "gpt-4o"),
        ("groq", "llama-3.1-8b-instant"),
        ("aws-bedrock", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("openrouter", "openai/gpt-4o"),
    ],
)
def test_well_known_models_have_rates(provider: str, model: str) -> None:
    rate = find_rate(RATES[provider], model)

    assert rate is not None
    assert rate.tiers[0].input


def test_a_routed_model_is_priced_only_when_it_names_who_serves_it() -> None:
    model = next(rate.match.equals[0] for rate in RATES["huggingface"] if rate.match.equals)

    assert find_rate(RATES["huggingface"], model) is not None
    assert find_rate(RATES["huggingface"], model.rpartition(":")[0]) is None


def test_every_pattern_compiles_and_every_rate_has_a_price() -> None:
    for rates in RATES.values():
        for rate in rates:
            _check(rate.match)
            assert rate.tiers[0].from_tokens_in == 0
            assert any(tier.input is not None or tier.output is not None for tier in rate.tiers)


def _check(match: Match) -> None:
    for pattern in match.regex:
        re.compile(pattern)
    for part in match.all_of:
        _check(part)


def test_tiers_begin_above_the_datas_threshold() -> None:
    price = types.ModelPrice(
        input_mtok=types.TieredPrices(Decimal("1.25"), [types.Tier(200_000, Decimal("2.5"))]),
        output_mtok=Decimal("10"),
        cache_read_mtok=Decimal("0.125"),
    )

    assert tiers_of(price) == (Tier(0, 1.25, 10.0, 0.125), Tier(200_001, 2.5, 10.0, 0.125))


def test_a_price_by_anything_but_tokens_is_none() -> None:
    assert tiers_of(types.ModelPrice(audio_hours=Decimal("0.36"))) == ()


@pytest.mark.parametrize(
    ("logic", "fitting", "other"),
    [
        (types.ClauseEquals("GPT-4"), "gpt-4", "gpt-4o"),
        (types.ClauseOr([types.ClauseStartsWith("a"), types.ClauseEndsWith("z")]), "xyz", "xyy"),
        (types.ClauseAnd([types.ClauseContains("b"), types.ClauseRegex(r"\d$")]), "ab1", "a1"),
        (
            types.ClauseOr(
                [
                    types.ClauseAnd([types.ClauseStartsWith("a"), types.ClauseEndsWith("1")]),
                    types.ClauseAnd([types.ClauseStartsWith("b"), types.ClauseEndsWith("2")]),
                ]
            ),
            "bx2",
            "bx1",
        ),
    ],
)
def test_expressions_mean_the_same_as_matches(logic: types.MatchLogic, fitting: str, other: str) -> None:
    match = match_of(logic)

    assert match is not None
    assert fits(match, fitting)
    assert not fits(match, other)


def test_an_ending_is_part_of_every_test() -> None:
    match = match_of(types.ClauseOr([types.ClauseEquals("m"), types.ClauseStartsWith("llama")]), ending=":groq")

    assert match is not None
    assert fits(match, "m:groq")
    assert fits(match, "llama-3:groq")
    assert not fits(match, "m")
    assert not fits(match, "llama-3")


def test_a_dated_price_holds_from_its_day_and_of_hourly_ones_the_dearest() -> None:
    model = types.ModelInfo(
        id="m",
        match=types.ClauseEquals("m"),
        prices=[
            types.ConditionalPrice(prices=types.ModelPrice(input_mtok=Decimal(1))),
            types.ConditionalPrice(
                types.StartDateConstraint(date(2026, 7, 1)), prices=types.ModelPrice(input_mtok=Decimal(4))
            ),
            types.ConditionalPrice(
                types.TimeOfDateConstraint(time(0, tzinfo=UTC), time(23, tzinfo=UTC)),
                prices=types.ModelPrice(input_mtok=Decimal(3)),
            ),
        ],
    )
    before = standard_price(model, NOW)
    after = standard_price(model, datetime(2026, 8, 1, tzinfo=UTC))

    assert (before.input_mtok, after.input_mtok) == (3, 4)


def test_the_simulators_prices_are_fixed() -> None:
    rates = simulator_rates()["simulator"]

    small = find_rate(rates, "simulator-small")
    large = find_rate(rates, "simulator-large")

    assert small is not None
    assert large is not None
    assert cost_nanodollars(small, Usage(1_000_000, 1_000_000)) == 2_000_000_000
    assert cost_nanodollars(large, Usage(1_000_000, 0)) == 2_000_000_000
