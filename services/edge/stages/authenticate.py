"""
Stage 2, authenticate: is the caller allowed to use this gateway?

Only hashes of tokens are known here. Every token's hash is compared in constant time, and all of them each
time, so how long an answer takes says nothing. A connection whose head is the last one again, octet for octet and under
the same snapshot, has presented the same token. `Authorization` stays the provider's; ours is `cf-aig-authorization`.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from services.contracts.router.values import Gateway
from services.edge.exchange import Exchange
from services.edge.port.arrival import Arrival
from services.kit.errors import Unauthenticated


class Authenticated(msgspec.Struct, frozen=True):
    """Which gateway token was presented; empty when the gateway asks for none."""

    token_name: str


_ANONYMOUS = Authenticated("")


def authenticate(exchange: Exchange) -> None:
    """Writes `authenticated`. Raises Unauthenticated."""
    head = exchange.arrival.head
    if head is None or head.authenticated is None:
        exchange.authenticated = _authenticated(exchange)
        if head is not None:
            head.authenticated = exchange.authenticated
    else:
        exchange.authenticated = head.authenticated


def _authenticated(exchange: Exchange) -> Authenticated:
    gateway = exchange.resolved.gateway
    if not gateway.tokens and not gateway.is_authentication_required:
        return _ANONYMOUS
    presented = exchange.resolved.headers.options.get("authorization", "") or _in_subprotocol(exchange.arrival)
    if not presented and not gateway.is_authentication_required:
        return _ANONYMOUS
    return Authenticated(_token_name(gateway, presented))


def _in_subprotocol(arrival: Arrival) -> str:
    """What a browser says instead, which can set no headers on a WebSocket: `cf-aig-authorization.<token>`."""
    if not arrival.is_upgrade:
        return ""
    for offered in arrival.headers.get("Sec-WebSocket-Protocol", "").split(","):
        name, dot, token = offered.strip().partition(".")
        if dot and name == "cf-aig-authorization":
            return f"Bearer {token}"
    return ""


def _token_name(gateway: Gateway, presented: str) -> str:
    scheme, _, token = presented.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("cf-aig-authorization: must be `Bearer <token>` with a token of this gateway")
    digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
    found = ""
    for known in gateway.tokens:
        if hmac.compare_digest(known.sha256, digest):
            found = known.name
    if not found:
        raise Unauthenticated("cf-aig-authorization: not a token of this gateway")
    return found
