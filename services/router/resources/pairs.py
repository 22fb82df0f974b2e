"""
Pairs: fields that are right each by itself and wrong together, or that name what does not exist.

strict.py has seen to types and bounds before; here a spec is held against itself and its surroundings. Everything
that is wrong is told, not only the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from services.contracts.router.values import Provider
from services.dialects.catalogue import DIALECTS
from services.dialects.target import placeholders
from services.router.resources.faults import Fault, Path, quoted
from services.router.resources.gateway import Authentication, GatewaySpec, Limit, ProviderOverride
from services.router.resources.provider import ProviderSpec
from services.router.resources.rules import Alert, DataLossRule, Guardrail, Webhook
from services.router.resources.scope import Scope

_SPEC: Path = ("spec",)

# The connection's own, the gateway's own, and what names the host: nobody sets these for a provider.
_HEADERS_NOT_ADDED = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def gateway_faults(spec: GatewaySpec, scope: Scope) -> Iterator[Fault]:
    """What is wrong with a gateway beyond its shape."""
    yield from _repeated([host.lower() for host in spec.hosts], (*_SPEC, "hosts"))
    yield from _authentication_faults(spec.authentication, scope)
    for position, name in enumerate(spec.allowed_providers):
        yield from scope.provider_faults(name, (*_SPEC, "allowedProviders", position))
    for name, override in spec.providers.items():
        path = (*_SPEC, "providers", name)
        if spec.allowed_providers and name not in spec.allowed_providers:
            yield Fault(path, "is not among allowedProviders")
        if name in scope.providers:
            yield from _override_faults(override, scope.providers[name], scope, path)
        else:
            yield from scope.provider_faults(name, path)
    yield from _limits_faults(spec.limits, scope)
    yield from _rules_faults(spec, scope)


def provider_faults(spec: ProviderSpec, scope: Scope) -> Iterator[Fault]:
    """What is wrong with a custom provider beyond its shape."""
    path = (*_SPEC, "baseURL")
    yield from scope.address_faults(spec.base_url, path, is_plain_http_allowed=spec.allow_plain_http)
    for name in placeholders(spec.base_url):
        yield Fault(path, f"must not have parts in braces, has {{{name}}}")
    if spec.dialect not in DIALECTS:
        yield Fault((*_SPEC, "dialect"), f"must be one of {', '.join(DIALECTS)}, is {quoted(spec.dialect)}")
    if _is_not_added(spec.key_header):
        yield Fault((*_SPEC, "keyHeader"), f"{spec.key_header.lower()} cannot carry a provider's key")
    yield from _repeated([pattern.lower() for pattern in spec.prices], (*_SPEC, "prices"))


def _authentication_faults(authentication: Authentication, scope: Scope) -> Iterator[Fault]:
    path = (*_SPEC, "authentication")
    if authentication.required and not authentication.tokens:
        yield Fault((*path, "required"), "is true and there are no tokens, so nobody could pass")
    yield from _repeated([token.name for token in authentication.tokens], (*path, "tokens"), "name")
    for position, token in enumerate(authentication.tokens):
        yield from scope.reference_faults(token.value_from, (*path, "tokens", position, "valueFrom"))


def _override_faults(override: ProviderOverride, provider: Provider, scope: Scope, path: Path) -> Iterator[Fault]:
    if override.base_url is not None:
        yield from scope.address_faults(override.base_url, (*path, "baseURL"))
        known = _placeholders_of(provider)
        for name in placeholders(override.base_url):
            if name not in known:
                yield Fault((*path, "baseURL"), f"has {{{name}}}; this provider's paths have {_listed(known)}")
    yield from _repeated([key.alias for key in override.keys], (*path, "keys"), "alias")
    for position, key in enumerate(override.keys):
        yield from scope.reference_faults(key.value_from, (*path, "keys", position, "valueFrom"))
    names = [name.lower() for name in override.headers]
    yield from _repeated(names, (*path, "headers"))
    for name in override.headers:
        if name.lower() == provider.key_header or name.lower() in provider.client_key_headers:
            yield Fault((*path, "headers", name), "carries the provider's key, which belongs under keys")
        elif _is_not_added(name):
            yield Fault((*path, "headers", name), "cannot be added to a request")


def _limits_faults(limits: Sequence[Limit], scope: Scope) -> Iterator[Fault]:
    path = (*_SPEC, "limits")
    yield from _repeated([limit.name for limit in limits], path, "name")
    for position, limit in enumerate(limits):
        here = (*path, position)
        if limit.unit != "usd" and limit.limit != int(limit.limit):
            yield Fault((*here, "limit"), f"must be a whole number of {limit.unit}, is {limit.limit}")
        if limit.unit == "usd" and limit.limit < 0.000_001:
            yield Fault((*here, "limit"), f"must be at least 0.000001 USD, is {limit.limit}")
        yield from _repeated(limit.key, (*here, "key"))
        for index, name in enumerate(limit.match.provider):
            yield from scope.provider_faults(name, (*here, "match", "provider", index))


def _rules_faults(spec: GatewaySpec, scope: Scope) -> Iterator[Fault]:
    yield from _repeated([rule.name for rule in spec.guardrails], (*_SPEC, "guardrails"), "name")
    yield from _repeated([rule.name for rule in spec.dlp], (*_SPEC, "dlp"), "name")
    yield from _repeated([alert.name for alert in spec.alerts], (*_SPEC, "alerts"), "name")
    for position, guardrail in enumerate(spec.guardrails):
        yield from _guardrail_faults(guardrail, scope, (*_SPEC, "guardrails", position))
    for position, rule in enumerate(spec.dlp):
        yield from _data_loss_faults(rule, (*_SPEC, "dlp", position))
    for position, alert in enumerate(spec.alerts):
        yield from _alert_faults(alert, scope, (*_SPEC, "alerts", position))


def _guardrail_faults(guardrail: Guardrail, scope: Scope, path: Path) -> Iterator[Fault]:
    yield from _repeated(guardrail.check, (*path, "check"))
    if isinstance(guardrail, Webhook):
        yield from scope.address_faults(guardrail.url, (*path, "url"))


def _data_loss_faults(rule: DataLossRule, path: Path) -> Iterator[Fault]:
    yield from _repeated(rule.check, (*path, "check"))
    if not rule.detectors and not rule.patterns:
        yield Fault(path, "must have at least one of detectors and patterns")
    for position, pattern in enumerate(rule.patterns):
        try:
            re.compile(pattern)
        except (re.error, OverflowError) as error:
            yield Fault((*path, "patterns", position), f"is no regular expression: {error}")


def _alert_faults(alert: Alert, scope: Scope, path: Path) -> Iterator[Fault]:
    for position, notification in enumerate(alert.notify):
        yield from scope.address_faults(notification.webhook, (*path, "notify", position, "webhook"))


def _repeated(names: Iterable[str], path: Path, field: str = "") -> Iterator[Fault]:
    """A fault for each name that came before."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(name, position)
        if first != position:
            here = (*path, position, field) if field else (*path, position)
            yield Fault(here, f"{quoted(name)} stands already at {first}")


def _is_not_added(header: str) -> bool:
    name = header.lower()
    return name in _HEADERS_NOT_ADDED or name.startswith("cf-aig-")


def _placeholders_of(provider: Provider) -> tuple[str, ...]:
    """Parts that the provider's own bases take from a path."""
    found = [name for base in provider.bases for name in placeholders(base.url)]
    found += [name for base in provider.bases for name in re.compile(base.pattern).groupindex if name != "rest"]
    return tuple(dict.fromkeys(found))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names) or "none"
