"""
Money: what an answer costs, from rates that came with the snapshot.

The router turned price data into rows (services/router/prices.py); here a model's name finds its row, once, and tokens
are multiplied. A few providers state in the answer what it costs, and then that is what it costs. Costs are whole
billionths of a dollar, so that sums are exact. Hazard: what is not known is None and never 0: a model without a row,
an answer without usage, output where only input has a price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.contracts.router.values import Gateway, Match, Rate, Tier
from services.dialects.tally import Parts
from services.dialects.usage import Usage
from services.kit.errors import Malformed

Rates = tuple[Rate, ...]

# One USD per million tokens is a thousand billionths a token.
_NANODOLLARS_PER_RATE: Final = 1_000

# One USD per thousand searches is a million billionths a search.
_NANODOLLARS_PER_SEARCH_RATE: Final = 1_000_000

_NO_PARTS: Final = Parts()

_MEMO_ENTRIES_MAX: Final = 8_192

# `gpt-5.2-20251211` is what some routers make of `gpt-5.2-2025-12-11`.
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?!\d)")

_CUSTOM_COST: Final = "cf-aig-custom-cost"
_CUSTOM_COST_FIELDS: Final = ("per_token_in", "per_token_out", "per_cache_read_token", "per_cache_write_token")


class RateBook:
    """Finds rates and multiplies. `catalogue` gives the rates of the snapshot that holds now, by provider."""

    def __init__(self, *, catalogue: Callable[[], Mapping[str, Rates]]) -> None:
        self._catalogue = catalogue
        self._memo: dict[tuple[str, ...], tuple[Rates | None, Rates | None, Rate | None]] = {}

    def cost_nanodollars(
        self, gateway: Gateway, provider: str, model: str, usage: Usage, *, custom: Rate | None = None
    ) -> int | None:
        """
        What the usage costs. None: not known.

        The client's own rate (`custom`) goes before one that the operator declares, that before what the provider
        itself states, and that before its price list.
        """
        if custom is None and usage.stated_nanodollars is not None:
            own = gateway.rates.get(provider)
            custom = _find(own, None, usage.model) or _find(own, None, model)
            if custom is None:
                return usage.stated_nanodollars
        rate = custom or self.rate(gateway, provider, model, answered=usage.model)
        return None if rate is None else cost_nanodollars(rate, usage)

    def rate(self, gateway: Gateway, provider: str, model: str, *, answered: str = "") -> Rate | None:
        """
        The provider's rate for the model: the gateway's own before the catalogue's.

        The model that really answered is looked up before `model`, the one that was asked for: it may be an alias.
        """
        listed = self._catalogue().get(provider)
        own = gateway.rates.get(provider)
        key: tuple[str, ...] = (provider, model, answered)
        if own is not None:
            key += (gateway.account, gateway.name)
        known = self._memo.get(key)
        # As long as both are the same objects, what was found in them holds.
        if known is not None and known[0] is listed and known[1] is own:
            return known[2]
        if len(self._memo) >= _MEMO_ENTRIES_MAX:
            self._memo.clear()
        found = _find(own, listed, answered) or _find(own, listed, model)
        self._memo[key] = listed, own, found
        return found


def _find(own: Rates | None, listed: Rates | None, model: str) -> Rate | None:
    return find_rate(own or (), model) or find_rate(listed or (), model)


def find_rate(rates: Rates, model: str) -> Rate | None:
    """The first rate that matches the model's name."""
    name = model.lower()
    if not name:
        return None
    for rate in rates:
        if fits(rate.match, name):
            return rate
    dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
    return find_rate(rates, dashed) if dashed != name else None


def fits(match: Match, name: str) -> bool:
    """Does the name, in lower case, match?"""
    return (
        name in match.equals
        or name.startswith(match.starts_with)
        or name.endswith(match.ends_with)
        or any(part in name for part in match.contains)
        or any(re.search(pattern, name) for pattern in match.regex)
        or (bool(match.all_of) and all(fits(part, name) for part in match.all_of))
    )


def cost_nanodollars(rate: Rate, usage: Usage) -> int | None:
    """What the usage costs at that rate; None when a count or the price of one is missing."""
    tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
    if tokens_in is None or tokens_out is None:
        return None
    tier = rate.tiers[0] if len(rate.tiers) == 1 else _tier(rate.tiers, tokens_in)
    price_in, price_out = tier.input, tier.output
    is_mixed = usage.tokens_cache_read or usage.tokens_cache_write or usage.parts is not None
    if not is_mixed and price_in is not None and price_out is not None:
        return round(tokens_in * price_in * _NANODOLLARS_PER_RATE + tokens_out * price_out * _NANODOLLARS_PER_RATE)
    searches = 0 if usage.parts is None else usage.parts.searches
    cost = searches * (tier.per_thousand_searches or 0.0) * _NANODOLLARS_PER_SEARCH_RATE
    for tokens, price in _priced(tier, usage, tokens_in, tokens_out):
        if tokens and price is None:
            return None
        cost += tokens * (price or 0.0) * _NANODOLLARS_PER_RATE
    return round(cost)


def _priced(tier: Tier, usage: Usage, tokens_in: int, tokens_out: int) -> tuple[tuple[int, float | None], ...]:
    """The tokens of each kind, each token in one, and their price."""
    price_in, price_out, parts = tier.input, tier.output, usage.parts or _NO_PARTS
    read, write = usage.tokens_cache_read or 0, usage.tokens_cache_write or 0
    write_long = min(parts.cache_write_long, write)
    price_write = _first_known(tier.cache_write, price_in)
    # How much of the audio and the images the cache served is not said: as much as can be is taken for new.
    new = max(0, tokens_in - read - write)
    audio_in = min(parts.audio_in, new)
    image_in = min(parts.image_in, new - audio_in)
    audio_out = min(parts.audio_out, tokens_out)
    image_out = min(parts.image_out, tokens_out - audio_out)
    return (
        (new - audio_in - image_in, price_in),
        (audio_in, _first_known(tier.audio_in, price_in)),
        (image_in, _first_known(tier.image_in, price_in)),
        (read, _first_known(tier.cache_read, price_in)),
        (write - write_long, price_write),
        (write_long, _first_known(tier.cache_write_long, price_write)),
        (tokens_out - audio_out - image_out, price_out),
        (audio_out, _first_known(tier.audio_out, price_out)),
        (image_out, _first_known(tier.image_out, price_out)),
    )


def _first_known(price: float | None, otherwise: float | None) -> float | None:
    return otherwise if price is None else price


def parse_custom_cost(text: str) -> Rate:
    """The rate that `cf-aig-custom-cost` names, in USD per token. Raises Malformed, naming the header."""
    try:
        given: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _malformed("must be JSON") from error
    if not isinstance(given, dict) or not given.keys() <= set(_CUSTOM_COST_FIELDS):
        raise _malformed(f"must be an object of {', '.join(_CUSTOM_COST_FIELDS)}")
    per_million = {name: _price(name, given.get(name)) for name in _CUSTOM_COST_FIELDS}
    if per_million["per_token_in"] is None or per_million["per_token_out"] is None:
        raise _malformed("needs per_token_in and per_token_out")
    return Rate("", "custom", Match(), (Tier(0, *(per_million[name] for name in _CUSTOM_COST_FIELDS)),))


def _tier(tiers: tuple[Tier, ...], tokens_in: int) -> Tier:
    """The last tier that has begun: crossing into one prices all tokens by it."""
    found = tiers[0]
    for tier in tiers[1:]:
        if tokens_in >= tier.from_tokens_in:
            found = tier
    return found


def _price(name: str, value: object) -> float | None:
    """USD per million of a price per token."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1_000_000:
        raise _malformed(f"{name} must be a number of USD per token, 0 or above")
    return value * 1_000_000


def _malformed(reason: str) -> Malformed:
    return Malformed(f"{_CUSTOM_COST}: {reason}")
