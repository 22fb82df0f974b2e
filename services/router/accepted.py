"""
Accepted: what is live, resource by resource.

A reading of the documents is taken resource by resource: one that is right replaces its last version, one that is wrong
is refused and its last good version stays, one that is gone goes. So a bad document never takes down a good one.
Accepting is a function of what was live and what was read; the service (service.py) only calls it.

Hazards: a reading that is not whole may lack a resource only because it could not be read; then nothing goes. And where
nothing is live, that may be only because nothing good was read yet (`is_conclusive`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

import msgspec

from services.contracts.router.snapshot import Release, content_of, version_of
from services.contracts.router.values import Catalogue, Gateway, GatewayId, Refusal, StoredKey
from services.router.compile import CompiledGateway, Custom, compile_gateway, custom_provider
from services.router.resources.addresses import AddressRules, host_of
from services.router.resources.documents import Document, Identity, Kind, Reading, title_of
from services.router.resources.faults import Fault, reason_of
from services.router.resources.gateway import GatewaySpec
from services.router.resources.graph import route_faults
from services.router.resources.pairs import gateway_faults, provider_faults
from services.router.resources.provider import ProviderSpec
from services.router.resources.route import RouteSpec
from services.router.resources.scope import Origin, Scope
from services.router.resources.strict import parse
from services.router.resources.unbuilt import unbuilt_faults
from services.router.secrets import Secrets

Value = TypeVar("Value")

REFUSALS_MAX = 1_000
_SPEC_PATH = ("spec",)


@dataclass(frozen=True, slots=True)
class Rules:
    """What documents are judged by: where they came from, what exists already, what they may point at."""

    origin: Origin
    catalogue: Catalogue
    addresses: AddressRules
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class Accepted:
    """The last good version of every resource, and what was refused of the last reading."""

    customs: Mapping[Identity, Custom] = field(default_factory=dict)
    gateways: Mapping[Identity, CompiledGateway] = field(default_factory=dict)
    documents: Mapping[Identity, Document] = field(default_factory=dict)
    """The same versions, as they were written."""
    refusals: tuple[Refusal, ...] = ()


def accept(live: Accepted, reading: Reading, rules: Rules) -> Accepted:
    """What is live after this reading."""
    refusals = list(reading.refusals)
    documents = {document.identity: document for document in reading.documents}
    customs = _kept(live.customs, documents, reading)
    written = _kept(live.documents, documents, reading)
    for document in _of_kind(documents, "Provider"):
        custom = _custom(document, rules)
        if isinstance(custom, Custom):
            customs[document.identity] = custom
            written[document.identity] = document
        else:
            refusals.append(Refusal(document.title, reason_of(custom)))
    gateways = _kept(live.gateways, documents, reading)
    for document in _of_kind(documents, "Gateway"):
        gateway = _gateway(document, _in_namespace(customs, document.namespace), rules)
        if isinstance(gateway, CompiledGateway):
            gateways[document.identity] = gateway
            written[document.identity] = document
        else:
            refusals.append(Refusal(document.title, reason_of(gateway)))
    for document in _of_kind(documents, "Route"):
        faults = _route_faults(document, customs, [*gateways, *documents], rules)
        refusals.append(Refusal(document.title, reason_of(faults)))
    return Accepted(customs, gateways, written, tuple(refusals))


def is_conclusive(accepted: Accepted, reading: Reading) -> bool:
    """
    Edges may be told what is live now.

    Not if no gateway is live because those that the documents declare are refused or could not be read. The
    first release of a router that reads such documents would take away every gateway that edges serve.
    """
    are_gateways_declared = any(document.kind == "Gateway" for document in reading.documents)
    return bool(accepted.gateways) or (reading.is_whole and not are_gateways_declared)


def release_of(
    accepted: Accepted, catalogue: bytes, revisions: Mapping[str, int]
) -> tuple[Release, tuple[StoredKey, ...]]:
    """What edges get: the release, and the stored keys that belong to it. `catalogue`: its canonical bytes."""
    gateways, disputes = _with_hosts(accepted)
    content = content_of(catalogue, gateways)
    refusals = _bounded((*accepted.refusals, *disputes))
    keys = tuple(chain.from_iterable(accepted.gateways[identity].keys for identity in sorted(accepted.gateways)))
    return Release(version_of(content), content, dict(revisions), refusals), keys


def hosts_named_in(reading: Reading) -> frozenset[str]:
    """Every host of a URL that stands anywhere in the documents, for asking what they resolve to."""
    texts = chain.from_iterable(_texts(document.spec) for document in reading.documents)
    return frozenset(filter(None, (host_of(text) for text in texts if text.startswith(("http://", "https://")))))


def _kept(
    live: Mapping[Identity, Value], documents: Mapping[Identity, Document], reading: Reading
) -> dict[Identity, Value]:
    return {identity: value for identity, value in live.items() if identity in documents or not reading.is_whole}


def _of_kind(documents: Mapping[Identity, Document], kind: Kind) -> list[Document]:
    return [document for document in documents.values() if document.kind == kind]


def _in_namespace(customs: Mapping[Identity, Custom], namespace: str) -> dict[str, Custom]:
    return {custom.provider.name: custom for identity, custom in customs.items() if identity[1] == namespace}


def _scope(rules: Rules, customs: Mapping[str, Custom], gateways: frozenset[str] = frozenset()) -> Scope:
    own = {name: custom.provider for name, custom in customs.items()}
    return Scope(rules.origin, rules.addresses, {**rules.catalogue.providers, **own}, gateways)


def _custom(document: Document, rules: Rules) -> Custom | list[Fault]:
    spec = parse(document.spec, ProviderSpec, path=_SPEC_PATH)
    if isinstance(spec, list):
        return spec
    faults = [*provider_faults(spec, _scope(rules, {})), *unbuilt_faults(document.kind, document.spec)]
    return faults or custom_provider(document.name, spec, is_private_allowed=rules.addresses.are_private_allowed)


def _gateway(document: Document, customs: Mapping[str, Custom], rules: Rules) -> CompiledGateway | list[Fault]:
    spec = parse(document.spec, GatewaySpec, path=_SPEC_PATH)
    if isinstance(spec, list):
        return spec
    faults = [*gateway_faults(spec, _scope(rules, customs)), *unbuilt_faults(document.kind, document.spec)]
    return faults or compile_gateway(
        document,
        spec,
        catalogue=rules.catalogue,
        customs=customs,
        is_private_allowed=rules.addresses.are_private_allowed,
        secrets=rules.secrets,
    )


def _route_faults(
    document: Document,
    customs: Mapping[Identity, Custom],
    known: Iterable[Identity],
    rules: Rules,
) -> list[Fault]:
    """`known`: what is live or declared; a gateway that is refused is its own fault, not the route's."""
    spec = parse(document.spec, RouteSpec, path=_SPEC_PATH)
    if isinstance(spec, list):
        return spec
    namespace = document.namespace
    names = frozenset(identity[2] for identity in known if identity[:2] == ("Gateway", namespace))
    scope = _scope(rules, _in_namespace(customs, namespace), names)
    return [*route_faults(spec, scope)] or [*unbuilt_faults(document.kind, document.spec)]


def _with_hosts(accepted: Accepted) -> tuple[dict[GatewayId, Gateway], list[Refusal]]:
    """Each host goes to the oldest gateway that asks for it; the others live without it and it is told."""
    owners: dict[str, Identity] = {}
    gateways: dict[GatewayId, Gateway] = {}
    disputes: list[Refusal] = []
    for identity, compiled in sorted(accepted.gateways.items(), key=lambda item: (item[1].age, item[0])):
        gateway = compiled.gateway
        for position, host in enumerate(gateway.hosts):
            owner = owners.setdefault(host, identity)
            if owner != identity:
                fault = Fault(("spec", "hosts", position), f"{host} belongs to {title_of(owner)}, which is older")
                disputes.append(Refusal(title_of(identity), str(fault)))
        granted = tuple(host for host in gateway.hosts if owners[host] == identity)
        gateways[gateway.account, gateway.name] = msgspec.structs.replace(gateway, hosts=granted)
    return gateways, disputes


def _bounded(refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    if len(refusals) <= REFUSALS_MAX:
        return refusals
    return (*refusals[:REFUSALS_MAX], Refusal("resources", f"{len(refusals) - REFUSALS_MAX} more are refused"))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
