"""
Stage 4, inspect: guardrails and data-loss rules on the request.

A gateway with such rules is refused by the router until they are built, so here every request passes with no
findings; rules and their findings enter at this seam and nowhere else.
"""

from __future__ import annotations

import msgspec

from services.edge.exchange import Exchange


class Inspected(msgspec.Struct, frozen=True):
    """What the rules found; names only, never what was found."""

    findings: tuple[str, ...] = ()


_CLEAN = Inspected()


def inspect(exchange: Exchange) -> None:
    """Writes `inspected`. Raises GuardrailBlocked."""
    exchange.inspected = _CLEAN
