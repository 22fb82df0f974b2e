"""
Compile: a gateway as written becomes a gateway as the edge works with it.

Afterwards nothing is left to look up, resolve or default: catalogue, custom providers and overrides are merged, tokens
are hashes, limits are in whole units. Stored keys come out beside the gateway, because they travel apart. Faults that
show only here are those of secrets that cannot be read.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from services.contracts.router.values import (
    Base,
    Cache,
    Catalogue,
    Gateway,
    Limit,
    Logs,
    Match,
    Provider,
    Rate,
    Retries,
    StoredKey,
    Tier,
    Timeouts,
    TokenHash,
)
from services.dialects.catalogue import BEARER
from services.dialects.target import with_base_url
from services.router.resources import gateway as written
from services.router.resources.documents import Document
from services.router.resources.faults import Fault, Path
from services.router.resources.provider import ModelPrice, ProviderSpec
from services.router.resources.references import KeyReference, TokenReference
from services.router.secrets import Secrets, Unreadable

MICRODOLLARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Custom:
    """A Provider of a namespace, compiled."""

    provider: Provider
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class CompiledGateway:
    """A gateway and its stored keys. `gateway.hosts` are those it asks for; an older gateway may have them."""

    gateway: Gateway
    keys: tuple[StoredKey, ...]
    age: tuple[float, str]


def with_private_upstreams(catalogue: Catalogue) -> Catalogue:
    """The catalogue for an operator who lets base URLs lead into private networks."""
    providers = {
        name: msgspec.structs.replace(provider, is_private_allowed=True)
        for name, provider in catalogue.providers.items()
    }
    return Catalogue(providers, catalogue.rates)


def custom_provider(name: str, spec: ProviderSpec, *, is_private_allowed: bool) -> Custom:
    """What the namespace calls `custom-<name>`."""
    title = f"custom-{name}"
    header = spec.key_header.lower()
    provider = Provider(
        name=title,
        dialect=spec.dialect,
        bases=(Base(spec.base_url.rstrip("/")),),
        key_header=header,
        key_prefix=BEARER if header == "authorization" else "",
        client_key_headers=(header,),
        is_private_allowed=is_private_allowed,
    )
    return Custom(provider, tuple(_rate(title, pattern, price) for pattern, price in spec.prices.items()))


def compile_gateway(
    document: Document,
    spec: written.GatewaySpec,
    *,
    catalogue: Catalogue,
    customs: Mapping[str, Custom],
    is_private_allowed: bool,
    secrets: Secrets,
) -> CompiledGateway | list[Fault]:
    """The gateway, or why its secrets cannot be had. The spec is without faults (resources/pairs.py)."""
    reader = _Reader(secrets, document.namespace)
    tokens = tuple(reader.tokens(spec.authentication))
    keys = tuple(reader.keys(document, spec))
    if reader.faults:
        return reader.faults
    gateway = Gateway(
        account=document.namespace,
        name=document.name,
        hosts=tuple(host.lower() for host in spec.hosts),
        is_authentication_required=bool(tokens)
        if spec.authentication.required is None
        else spec.authentication.required,
        tokens=tokens,
        allowed_providers=spec.allowed_providers or None,
        providers=_providers(spec, catalogue, customs, is_private_allowed=is_private_allowed),
        rates={custom.provider.name: custom.rates for custom in customs.values() if custom.rates},
        cache=_cache(spec.cache, epoch=spec.cache_epoch),
        limits=tuple(_limit(limit) for limit in spec.limits),
        retries=Retries(spec.retries.max_attempts, spec.retries.delay_ms, spec.retries.backoff),
        timeouts=Timeouts(spec.timeouts.connect_ms, spec.timeouts.first_byte_ms, spec.timeouts.idle_ms),
        logs=Logs(spec.logs.collect, spec.logs.payloads, spec.logs.retention_days, spec.logs.max_payload_bytes),
        are_cookies_forwarded=spec.forward_cookies,
    )
    return CompiledGateway(gateway, keys, document.age)


class _Reader:
    """Reads the secrets of one gateway and remembers what could not be read."""

    def __init__(self, secrets: Secrets, namespace: str) -> None:
        self.faults: list[Fault] = []
        self._secrets = secrets
        self._namespace = namespace

    def tokens(self, authentication: written.Authentication) -> Iterator[TokenHash]:
        for position, token in enumerate(authentication.tokens):
            path = ("spec", "authentication", "tokens", position, "valueFrom")
            digest = self._token_hash(token.value_from, path)
            if digest is not None:
                yield TokenHash(token.name, digest)

    def keys(self, document: Document, spec: written.GatewaySpec) -> Iterator[StoredKey]:
        for name, override in spec.providers.items():
            for position, key in enumerate(override.keys):
                value = self._read(key.value_from, ("spec", "providers", name, "keys", position, "valueFrom"))
                if value is not None:
                    yield StoredKey(document.namespace, document.name, name, key.alias, value)

    def _token_hash(self, reference: TokenReference, path: Path) -> str | None:
        if reference.sha256 is not None:
            return reference.sha256.lower()
        value = self._read(reference, path)
        return None if value is None else hashlib.sha256(value.encode()).hexdigest()

    def _read(self, reference: KeyReference, path: Path) -> str | None:
        found = self._secrets.read(reference, namespace=self._namespace)
        if isinstance(found, Unreadable):
            self.faults.append(Fault((*path, found.place), found.message))
            return None
        return found.reveal()


def _providers(
    spec: written.GatewaySpec, catalogue: Catalogue, customs: Mapping[str, Custom], *, is_private_allowed: bool
) -> dict[str, Provider]:
    """The namespace's own providers, and every one that the gateway overrides."""
    found = {custom.provider.name: custom.provider for custom in customs.values()}
    for name, override in spec.providers.items():
        provider = found.get(name) or catalogue.providers[name]
        if override.base_url is not None:
            provider = with_base_url(provider, override.base_url)
        found[name] = msgspec.structs.replace(
            provider,
            headers=tuple(override.headers.items()),
            key_aliases=tuple(key.alias for key in override.keys),
            is_private_allowed=provider.is_private_allowed or is_private_allowed,
        )
    return found


def _cache(cache: written.Cache, *, epoch: int) -> Cache:
    return Cache(
        ttl_s=cache.ttl_s,
        include_models=cache.include.models,
        include_paths=cache.include.paths,
        key_headers=tuple(sorted({name.lower() for name in cache.key_headers})),
        is_shared_across_keys=cache.share_across_keys,
        entry_bytes_max=cache.max_entry_bytes,
        epoch=epoch,
    )


def _limit(limit: written.Limit) -> Limit:
    return Limit(
        name=limit.name,
        unit=limit.unit,
        limit=round(limit.limit * MICRODOLLARS) if limit.unit == "usd" else int(limit.limit),
        window_s=limit.window_s,
        technique=limit.technique,
        key=tuple(item.lower() if item.startswith("header.") else item for item in limit.key),
        match_providers=limit.match.provider,
        match_models=limit.match.model,
        fail_mode=limit.fail_mode,
    )


def _rate(provider: str, pattern: str, price: ModelPrice) -> Rate:
    tier = Tier(
        from_tokens_in=0,
        input=price.input_per_million,
        output=price.output_per_million,
        cache_read=price.cache_read_per_million,
        cache_write=price.cache_write_per_million,
    )
    return Rate(provider, pattern, match_of(pattern.lower()), (tier,))


def match_of(pattern: str) -> Match:
    """A shell pattern as the cheapest test that means the same."""
    inner = pattern.strip("*")
    if any(character in inner for character in "*?["):
        return Match(regex=(fnmatch.translate(pattern),))
    match pattern.startswith("*"), pattern.endswith("*"):
        case False, False:
            return Match(equals=(pattern,))
        case False, True:
            return Match(starts_with=(inner,))
        case True, False:
            return Match(ends_with=(inner,))
        case _:
            return Match(contains=(inner,))
