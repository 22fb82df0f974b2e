"""
Stage 1, resolve: whose request is this, and which provider is it for?

Everything is answered from the snapshot in memory; the exchange keeps that snapshot, so a configuration that changes
meanwhile does not change a request under way. Options are read here too, because a malformed one is refused
before anything else happens. Once the gateway is known, a refusal has its row in that gateway's log. A head that comes
again under the same snapshot means what it meant.
"""

from __future__ import annotations

import msgspec

from services.contracts.router.values import Gateway, Provider, Snapshot
from services.edge.configuration.configuration import Configuration
from services.edge.exchange import Exchange
from services.edge.headers import HeaderSorter, Sorted
from services.edge.options import NOTHING, Options, parse_options
from services.edge.port.arrival import Arrival
from services.edge.surfaces.address import Address, is_name, origin_form, parse_hosted, parse_target
from services.kit.errors import (
    NarrowsError,
    NotReady,
    UnknownGateway,
    UnknownGatewayForUniversal,
    UnknownProvider,
)


class Resolved(msgspec.Struct, frozen=True):
    """Where the request goes. `provider` is None on surfaces that name theirs in the body."""

    snapshot: Snapshot
    gateway: Gateway
    address: Address
    provider: Provider | None
    headers: Sorted
    options: Options


def resolve(exchange: Exchange, configuration: Configuration, sorter: HeaderSorter) -> None:
    """Writes `resolved`. Raises NotReady, PathNotFound, UnknownGateway, UnknownProvider, Malformed."""
    snapshot = configuration.current
    if snapshot is None:
        raise NotReady("this edge has no configuration yet", retry_after_s=1)
    head = exchange.arrival.head
    if head is not None and head.snapshot is snapshot:
        exchange.resolved = head.resolved
    else:
        _resolve(exchange, snapshot, configuration, sorter)


def _resolve(exchange: Exchange, snapshot: Snapshot, configuration: Configuration, sorter: HeaderSorter) -> None:
    arrival = exchange.arrival
    address, gateway = _gateway_of(arrival, configuration)
    headers = sorter.sort(arrival.raw_headers, are_cookies_forwarded=gateway.are_cookies_forwarded)
    provider, options, refusal = None, NOTHING, None
    try:
        if address.kind == "native":
            provider = find_provider(snapshot, gateway, address.provider)
        options = parse_options(headers.options)
    except NarrowsError as error:
        refusal = error
    exchange.resolved = Resolved(snapshot, gateway, address, provider, headers, options)
    if refusal is not None:
        raise refusal
    if arrival.head is not None:
        arrival.head.note_resolved(exchange.resolved)


def find_provider(snapshot: Snapshot, gateway: Gateway, name: str) -> Provider:
    """The provider as this gateway reaches it. Raises UnknownProvider."""
    allowed = gateway.allowed_providers
    provider = gateway.providers.get(name) or snapshot.catalogue.providers.get(name)
    if provider is None or (allowed is not None and name not in allowed):
        raise UnknownProvider(f"unknown provider {name[:64]!r} on gateway {gateway.account}/{gateway.name}")
    return provider


def _gateway_of(arrival: Arrival, configuration: Configuration) -> tuple[Address, Gateway]:
    target = origin_form(arrival.target)
    hosted = configuration.by_host(_host_of(arrival)) if configuration.has_hosts else None
    if hosted is not None and not target.startswith("/v1/"):
        return parse_hosted(target, hosted.account, hosted.name), hosted
    address = parse_target(target)
    gateway = configuration.gateway(address.account, address.gateway)
    if gateway is None:
        raise _unknown_gateway(arrival, address)
    return address, gateway


def _host_of(arrival: Arrival) -> str:
    """A target in absolute form goes over the `Host` header (RFC 9112, 3.2.2)."""
    if arrival.target.startswith("/"):
        return arrival.headers.get("Host", "")
    return arrival.target.partition("://")[2].partition("/")[0]


def _unknown_gateway(arrival: Arrival, address: Address) -> Exception:
    shown = (
        f"{address.account}/{address.gateway}"
        if is_name(address.account) and is_name(address.gateway)
        else "(names match [a-z0-9_-]{1,64})"
    )
    if address.kind == "universal" and arrival.method == "POST":
        return UnknownGatewayForUniversal(f"unknown gateway {shown}")
    return UnknownGateway(f"unknown gateway {shown}")
