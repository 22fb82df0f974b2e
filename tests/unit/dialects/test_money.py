"""Rates found by a model's name, costs multiplied, and everything that is not known."""

from __future__ import annotations

import pytest

from services.contracts.router.values import Gateway, Match, Rate, Tier
from services.dialects.money import RateBook, cost_nanodollars, find_rate, fits, parse_custom_cost
from services.dialects.tally import Parts
from services.dialects.usage import Usage
from services.kit.errors import Malformed

GATEWAY = Gateway("local", "main")


def rate(name: str, *tiers: Tier, **match: tuple[str, ...]) -> Rate:
    return Rate("p", name, Match(**(match or {"equals": (name,)})), tiers or (Tier(0, 1.0, 2.0),))


@pytest.mark.parametrize(
    ("match", "name", "is_fitting"),
    [
        (Match(equals=("a", "b")), "b", True),
        (Match(equals=("a",)), "ab", False),
        (Match(starts_with=("gpt-",)), "gpt-5", True),
        (Match(ends_with=(":free",)), "x:free", True),
        (Match(contains=("turbo",)), "gpt-3.5-turbo-16k", True),
        (Match(regex=(r"^o[134]",)), "o3-mini", True),
        (Match(regex=(r"^o[134]",)), "go3", False),
        (Match(equals=("x",), contains=("y",)), "aya", True),
        (Match(all_of=(Match(starts_with=("a",)), Match(ends_with=("z",)))), "abcz", True),
        (Match(all_of=(Match(starts_with=("a",)), Match(ends_with=("z",)))), "abc", False),
        (Match(), "anything", False),
    ],
)
def test_a_match_is_any_of_its_tests_or_all_of_its_parts(match: Match, name: str, is_fitting: bool) -> None:
    assert fits(match, name) == is_fitting


def test_the_first_rate_that_fits_is_found_whatever_the_case() -> None:
    rates = (rate("exact"), rate("gpt", starts_with=("gpt-",)), rate("late", starts_with=("gpt-5",)))

    found = find_rate(rates, "GPT-5-mini")

    assert found is not None
    assert found.model == "gpt"
    assert find_rate(rates, "claude") is None
    assert find_rate(rates, "") is None


def test_a_compact_date_is_read_as_a_dashed_one() -> None:
    assert find_rate((rate("gpt-5.2-2025-12-11"),), "gpt-5.2-20251211") is not None


@pytest.mark.parametrize(
    ("usage", "nanodollars"),
    [
        (Usage(1_000_000, 1_000_000), 3_000_000_000),
        (Usage(1, 0), 1_000),
        (Usage(100, 10, tokens_cache_read=40, tokens_cache_write=20), 40_000 + 4_000 + 25_000 + 20_000),
        (Usage(10, 0, tokens_cache_read=50), 5_000),
        (Usage(0, 0), 0),
        (Usage(None, 5), None),
        (Usage(5, None), None),
        (Usage(), None),
    ],
)
def test_tokens_cost_what_their_kind_costs(usage: Usage, nanodollars: int | None) -> None:
    priced = rate("m", Tier(0, 1.0, 2.0, cache_read=0.1, cache_write=1.25))

    assert cost_nanodollars(priced, usage) == nanodollars


def test_a_cache_rate_that_is_not_priced_apart_is_the_input_rate() -> None:
    assert cost_nanodollars(rate("m", Tier(0, 1.0, 2.0)), Usage(100, 0, 60, 40)) == 100_000


def test_crossing_into_a_tier_prices_all_tokens_by_it() -> None:
    tiered = rate("m", Tier(0, 1.0, 1.0), Tier(200_001, 2.0, 3.0))

    assert cost_nanodollars(tiered, Usage(200_000, 0)) == 200_000_000
    assert cost_nanodollars(tiered, Usage(200_001, 1)) == 400_002_000 + 3_000


def test_a_kind_of_token_without_a_price_makes_the_cost_unknown() -> None:
    embedding = rate("m", Tier(0, 0.02, None))

    assert cost_nanodollars(embedding, Usage(1_000, 0)) == 20_000
    assert cost_nanodollars(embedding, Usage(1_000, 1)) is None


def test_a_gateways_own_rates_come_before_the_catalogues() -> None:
    own = rate("m", Tier(0, 5.0, 5.0))
    gateway = Gateway("local", "main", rates={"p": (own,)})
    book = RateBook(catalogue=lambda: {"p": (rate("m"), rate("n"))})

    assert book.rate(gateway, "p", "m") is own
    assert book.rate(gateway, "p", "n") is not None
    assert book.rate(gateway, "q", "m") is None
    assert book.cost_nanodollars(GATEWAY, "p", "m", Usage(1, 0)) == 1_000


def test_the_model_that_answered_is_looked_up_before_the_one_asked_for() -> None:
    book = RateBook(catalogue=lambda: {"p": (rate("dated", Tier(0, 3.0, 3.0)), rate("alias"))})

    assert book.cost_nanodollars(GATEWAY, "p", "alias", Usage(1, 0, model="dated")) == 3_000
    assert book.cost_nanodollars(GATEWAY, "p", "alias", Usage(1, 0, model="unlisted")) == 1_000
    assert book.cost_nanodollars(GATEWAY, "p", "unlisted", Usage(1, 0)) is None


def test_what_one_model_that_answered_costs_is_not_taken_for_anothers() -> None:
    book = RateBook(catalogue=lambda: {"p": (rate("dated", Tier(0, 3.0, 3.0)), rate("alias"))})

    costs = [
        book.cost_nanodollars(GATEWAY, "p", "alias", Usage(1, 0, model=answered)) for answered in ("dated", "", "dated")
    ]

    assert costs == [3_000, 1_000, 3_000]


def test_new_rates_are_used_at_once() -> None:
    listed = {"p": (rate("m"),)}
    book = RateBook(catalogue=lambda: listed)
    assert book.cost_nanodollars(GATEWAY, "p", "m", Usage(1, 0)) == 1_000

    listed = {"p": (rate("m", Tier(0, 7.0, 7.0)),)}

    assert book.cost_nanodollars(GATEWAY, "p", "m", Usage(1, 0)) == 7_000


def test_a_gateways_new_rates_are_used_at_once() -> None:
    book = RateBook(catalogue=lambda: {"p": (rate("m"),)})
    dear = Gateway("local", "main", rates={"p": (rate("m", Tier(0, 5.0, 5.0)),)})
    dearer = Gateway("local", "main", rates={"p": (rate("m", Tier(0, 9.0, 9.0)),)})

    costs = [book.cost_nanodollars(gateway, "p", "m", Usage(1, 0)) for gateway in (dear, dearer, GATEWAY)]

    assert costs == [5_000, 9_000, 1_000]


def test_the_clients_own_rate_comes_first() -> None:
    book = RateBook(catalogue=lambda: {"p": (rate("m"),)})
    custom = parse_custom_cost('{"per_token_in":0.000001,"per_token_out":0.000002,"per_cache_read_token":0.0000005}')

    cost = book.cost_nanodollars(
        GATEWAY, "p", "m", Usage(10, 10, tokens_cache_read=4, tokens_cache_write=2), custom=custom
    )

    assert cost == 4 * 1_000 + 4 * 500 + 2 * 1_000 + 10 * 2_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "[]",
        "{}",
        '{"per_token_in":1}',
        '{"per_token_in":"1","per_token_out":1}',
        '{"per_token_in":-1,"per_token_out":1}',
        '{"per_token_in":true,"per_token_out":1}',
        '{"per_token_in":1,"per_token_out":1,"per_token":1}',
        '{"per_token_in":1e400,"per_token_out":1}',
    ],
)
def test_a_malformed_custom_cost_is_refused_by_the_headers_name(text: str) -> None:
    with pytest.raises(Malformed, match="cf-aig-custom-cost"):
        parse_custom_cost(text)


def test_what_is_kept_for_an_hour_and_what_is_audio_have_prices_of_their_own() -> None:
    apart = rate("m", Tier(0, 1.0, 2.0, 0.1, 1.25, 2.0, 10.0, 20.0))

    assert cost_nanodollars(apart, Usage(100, 0, 0, 50, parts=Parts(cache_write_long=40))) == 50_000 + 12_500 + 80_000
    assert cost_nanodollars(apart, Usage(100, 10, parts=Parts(audio_in=30))) == 70_000 + 300_000 + 20_000
    assert cost_nanodollars(apart, Usage(100, 10, parts=Parts(audio_out=4))) == 100_000 + 12_000 + 80_000
    drawing = rate("m", Tier(0, 1.0, 2.0, image_in=5.0, image_out=30.0))
    assert cost_nanodollars(drawing, Usage(100, 10, parts=Parts(image_in=20, image_out=9))) == 180_000 + 272_000


def test_parts_without_a_price_of_their_own_cost_what_the_rest_costs() -> None:
    usage = Usage(100, 10, 0, 50, parts=Parts(audio_in=30, audio_out=4, cache_write_long=40))

    assert cost_nanodollars(rate("m", Tier(0, 1.0, 2.0)), usage) == 120_000


def test_searches_cost_what_a_thousand_of_them_cost() -> None:
    searching = Usage(100, 10, parts=Parts(searches=2))

    assert cost_nanodollars(rate("m", Tier(0, 1.0, 2.0, per_thousand_searches=10.0)), searching) == 120_000 + 20_000_000
    assert cost_nanodollars(rate("m", Tier(0, 1.0, 2.0)), searching) == 120_000


def test_audio_is_never_more_than_what_the_cache_left() -> None:
    apart = rate("m", Tier(0, 1.0, 2.0, cache_read=0.1, audio_in=10.0))

    assert cost_nanodollars(apart, Usage(100, 0, 80, parts=Parts(audio_in=60))) == 8_000 + 200_000


STATED = Usage(100, 10, stated_nanodollars=777)


def test_what_the_provider_states_goes_before_its_price_list() -> None:
    book = RateBook(catalogue=lambda: {"p": (rate("m"),)})

    assert book.cost_nanodollars(GATEWAY, "p", "m", STATED) == 777
    assert book.cost_nanodollars(GATEWAY, "p", "unknown", STATED) == 777
    assert book.cost_nanodollars(GATEWAY, "p", "m", Usage(stated_nanodollars=777)) == 777


def test_a_rate_of_the_clients_or_of_the_operators_goes_before_what_the_provider_states() -> None:
    book = RateBook(catalogue=dict)
    own = Gateway("local", "main", rates={"p": (rate("m"),)})

    assert book.cost_nanodollars(own, "p", "m", STATED) == 120_000
    assert book.cost_nanodollars(own, "p", "unknown", STATED) == 777
    assert book.cost_nanodollars(own, "p", "m", STATED, custom=rate("c", Tier(0, 0.0, 1.0))) == 10_000
