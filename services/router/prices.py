"""
Prices: what the price data knows, as rates that an edge can use.

`genai-prices` is asked once, when the router starts, because one call of its costs more than a whole request on the
edge; nothing is fetched from the network. Its match clauses become `Match` values, its tiers `Tier` values. What
a `Rate` cannot say is left to the standard price: video, fees per request (batches the data does not know). A model
that is priced by something else than tokens gets no rate, so its cost is unknown and not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Final

from genai_prices import types
from genai_prices.data import providers as price_lists

from services.contracts.router.values import Match, Rate, Tier
from services.dialects.catalogue import SIMULATOR, SIMULATOR_PRICES

# An expression that would become more clauses than this is left out: its model has no rate.
_CLAUSES_MAX: Final = 64

Clause = tuple[tuple[str, str], ...]
"""Alternatives, each a kind of test and its operand."""


def rates_from_prices(lists: Mapping[str, Sequence[tuple[str, str]]], *, now: datetime) -> dict[str, tuple[Rate, ...]]:
    """
    Rates by provider. `lists`: per provider the price lists that hold for it, and what a model's name ends in there.

    `now` decides which of a model's dated prices holds.
    """
    known = {price_list.id: price_list for price_list in price_lists}
    return {
        provider: tuple(
            rate
            for name, ending in names
            if name in known
            for rate in _rates(provider, known[name], known, ending=ending, now=now)
        )
        for provider, names in lists.items()
    }


def simulator_rates() -> dict[str, tuple[Rate, ...]]:
    """The simulator's own prices."""
    rates = tuple(
        Rate(SIMULATOR, model, Match(equals=(model,)), (Tier(0, price, price),))
        for model, price in SIMULATOR_PRICES.items()
    )
    return {SIMULATOR: rates}


def _rates(
    provider: str, price_list: types.Provider, known: Mapping[str, types.Provider], *, ending: str, now: datetime
) -> Iterable[Rate]:
    """Those of the list itself, then those of the lists it falls back to."""
    fallbacks = [known[name] for name in price_list.fallback_model_providers or () if name in known]
    for source in (price_list, *fallbacks):
        for model in source.models:
            match = match_of(model.match, ending=ending)
            tiers = tiers_of(standard_price(model, now))
            if match is not None and tiers:
                yield Rate(provider, model.id, match, tiers)


def standard_price(model: types.ModelInfo, now: datetime) -> types.ModelPrice:
    """The price that holds on that day; of prices by the hour the dearest, so that no budget is ever overrun."""
    if isinstance(model.prices, types.ModelPrice):
        return model.prices
    standard = model.prices[0].prices
    hourly: list[types.ModelPrice] = []
    for conditional in model.prices:
        constraint = conditional.constraint
        if isinstance(constraint, types.TimeOfDateConstraint):
            hourly.append(conditional.prices)
        elif constraint is None or constraint.active(now):
            standard = conditional.prices
    return max((standard, *hourly), key=lambda price: _at(price.input_mtok, 0) or 0.0)


def tiers_of(price: types.ModelPrice) -> tuple[Tier, ...]:
    """Ascending tiers; none when neither input nor output has a price per token."""
    inputs, outputs = price.input_mtok, price.output_mtok
    if inputs is None and outputs is None:
        return ()
    parts = (
        inputs,
        outputs,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.cache_write_1h_mtok,
        price.input_audio_mtok,
        price.output_audio_mtok,
        price.input_image_mtok,
        price.output_image_mtok,
        price.web_searches_kcount,
    )
    starts = {0}
    for part in parts:
        if isinstance(part, types.TieredPrices):
            # The data says above which count a tier holds; a `Tier` says from which on.
            starts |= {tier.start + 1 for tier in part.tiers}
    return tuple(Tier(start, *(_at(part, start) for part in parts)) for start in sorted(starts))


def _at(part: Decimal | types.TieredPrices | None, start: int) -> float | None:
    if part is None:
        return None
    if isinstance(part, Decimal):
        return float(part)
    price = part.base
    for tier in part.tiers:
        if tier.start < start:
            price = tier.price
    return float(price)


def match_of(logic: types.MatchLogic, *, ending: str = "") -> Match | None:
    """The expression as a `Match`: alternatives, all of which must hold. None: it would become too large."""
    clauses = _clauses(logic, ending)
    if clauses is None:
        return None
    if len(clauses) == 1:
        return _match(clauses[0])
    return Match(all_of=tuple(_match(clause) for clause in clauses))


def _clauses(logic: types.MatchLogic, ending: str) -> list[Clause] | None:
    """Conjunctive normal form: every one of these clauses must hold, each by one of its alternatives."""
    match logic:
        case types.ClauseAnd():
            parts = [_clauses(part, ending) for part in logic.and_]
            return None if None in parts else [clause for part in parts if part is not None for clause in part]
        case types.ClauseOr():
            return _either([_clauses(part, ending) for part in logic.or_])
        case _:
            return _leaf(logic, ending)


def _either(parts: list[list[Clause] | None]) -> list[Clause] | None:
    sizes = 1
    given: list[list[Clause]] = []
    for part in parts:
        if part is None:
            return None
        sizes *= len(part)
        given.append(part)
    if sizes > _CLAUSES_MAX:
        return None
    return [tuple(test for clause in choice for test in clause) for choice in product(*given)]


def _leaf(logic: types.MatchLogic, ending: str) -> list[Clause]:
    """One test; with an ending, of a name that has it (`model:host`)."""
    match logic:
        case types.ClauseEquals(equals=text):
            return [(("equals", text.lower() + ending),)]
        case types.ClauseStartsWith(starts_with=text):
            return [(("starts_with", text.lower()),), *_ending(ending)]
        case types.ClauseEndsWith(ends_with=text):
            return [(("ends_with", text.lower() + ending),)]
        case types.ClauseContains(contains=text):
            return [(("contains", text.lower()),), *_ending(ending)]
        case types.ClauseRegex(regex=text):
            return [(("regex", text),), *_ending(ending)]
        case _:
            return []


def _ending(ending: str) -> list[Clause]:
    return [(("ends_with", ending),)] if ending else []


def _match(clause: Clause) -> Match:
    tests: dict[str, list[str]] = {"equals": [], "starts_with": [], "ends_with": [], "contains": [], "regex": []}
    for kind, operand in clause:
        tests[kind].append(operand)
    return Match(
        equals=tuple(tests["equals"]),
        starts_with=tuple(tests["starts_with"]),
        ends_with=tuple(tests["ends_with"]),
        contains=tuple(tests["contains"]),
        regex=tuple(tests["regex"]),
    )
