"""What every gateway has: the providers that Narrows knows, and what their models cost."""

from __future__ import annotations

from datetime import UTC, datetime

from services.contracts.router.values import Catalogue
from services.dialects.catalogue import PRICE_LISTS, catalogue
from services.router.compile import with_private_upstreams
from services.router.prices import rates_from_prices, simulator_rates


def load_catalogue(*, simulator_url: str | None, are_private_allowed: bool, now_s: float) -> Catalogue:
    """
    The catalogue with the prices of that moment (wall clock).

    Reading the prices takes a moment: call it once, in a thread.
    """
    rates = rates_from_prices(PRICE_LISTS, now=datetime.fromtimestamp(now_s, UTC))
    if simulator_url is not None:
        rates.update(simulator_rates())
    known = Catalogue(catalogue(simulator_url=simulator_url), rates)
    return with_private_upstreams(known) if are_private_allowed else known
