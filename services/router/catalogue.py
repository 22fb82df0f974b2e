"""What every gateway has: the providers that Narrows knows, and what their models cost."""

from __future__ import annotations

from services.contracts.router.values import Catalogue
from services.dialects.catalogue import catalogue
from services.router.compile import with_private_upstreams
from services.router.prices import rates_from_genai_prices


def load_catalogue(*, simulator_url: str | None, are_private_allowed: bool) -> Catalogue:
    """Reading the prices takes a moment: call it once, in a thread."""
    known = Catalogue(catalogue(simulator_url=simulator_url), rates_from_genai_prices())
    return with_private_upstreams(known) if are_private_allowed else known
