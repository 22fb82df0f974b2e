"""
Stage 5, admit: is there room under the gateway's limits?

Units are spent from leases this edge already holds; only a short lease asks the limiter, and only then the request
waits. A request under three limits takes three leases, and gives the others back when one refuses. A limit that
matches on a provider counts the first attempt at that provider, so a plan's later steps are admitted when they are
reached.

Hazard: a spent unit is reported only when the request's head has gone to a provider or the request has ended
(`confirm`), never before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from services.contracts.limiter.values import Bucket
from services.contracts.router.values import Gateway, Limit
from services.dialects.shaping import CALLER_HEADERS
from services.edge.exchange import Exchange
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted as Leased
from services.edge.leases.values import Decision, Refused, Unavailable
from services.edge.plan import Step
from services.kit.errors import LimiterUnavailable, LimitExceeded
from services.kit.names import SpanName
from services.kit.telemetry.tracing import Tracer

_GATEWAYS_REMEMBERED_MAX = 4096
_KEY_VALUE_LENGTH_MAX = 256


class Rule(msgspec.Struct, frozen=True):
    """A limit, ready to be asked. `bucket` is set when the limit has no key, so that nothing is built per request."""

    limit: Limit
    bucket: Bucket | None
    is_for_all: bool
    """It matches on nothing."""
    policy: str
    item: str
    """Its item of `RateLimit`, up to the number that remains."""


class Granted(msgspec.Struct, frozen=True):
    """One unit spent under one rule."""

    rule: Rule
    lease: Leased


class Admitted(msgspec.Struct):
    """
    Everything spent for this request. Grows only when a later step has limits of its own.

    `returned`: what other limits would have let pass when one refused, for the headers. `first_refusal`: the first
    step's provider has a limit that is used up, and there are other steps.
    """

    granted: list[Granted]
    returned: list[Granted]
    refused: tuple[Rule, Refused] | None = None
    first_refusal: LimitExceeded | LimiterUnavailable | None = None
    is_confirmed: bool = False


class Admission:
    """Asks the ledger; one per edge, since it remembers each gateway's rules."""

    def __init__(self, *, ledger: LeaseLedger, tracer: Tracer) -> None:
        self._ledger = ledger
        self._tracer = tracer
        self._rules: dict[tuple[str, str], tuple[Gateway, tuple[Rule, ...]]] = {}

    async def admit(self, exchange: Exchange) -> None:
        """Writes `admitted`, for the plan's first step. Raises LimitExceeded, LimiterUnavailable."""
        exchange.admitted = admitted = Admitted([], [])
        gateway, plan = exchange.resolved.gateway, exchange.received.plan
        if not gateway.limits:
            return
        rules = self._rules_of(gateway)
        if len(plan) == 1:
            await self._spend(exchange, admitted, rules, plan[0])
            return
        await self._spend(exchange, admitted, [rule for rule in rules if not rule.limit.match_providers], plan[0])
        try:
            await self._spend(exchange, admitted, [rule for rule in rules if rule.limit.match_providers], plan[0])
        except (LimitExceeded, LimiterUnavailable) as error:
            admitted.first_refusal = error

    async def admit_step(self, exchange: Exchange, step: Step) -> None:
        """Limits that match on a later step's provider. Raises as `admit`."""
        gateway = exchange.resolved.gateway
        if not gateway.limits:
            return
        if step is exchange.received.plan[0]:
            if exchange.admitted.first_refusal is not None:
                raise exchange.admitted.first_refusal
            return
        spent = {granted.rule.limit.name for granted in exchange.admitted.granted}
        rules = [
            rule for rule in self._rules_of(gateway) if rule.limit.match_providers and rule.limit.name not in spent
        ]
        await self._spend(exchange, exchange.admitted, rules, step)

    def confirm(self, admitted: Admitted) -> None:
        """The request's head is with a provider, or the request has ended: what was spent is spent. Once is enough."""
        if admitted.is_confirmed:
            return
        admitted.is_confirmed = True
        for granted in admitted.granted:
            self._ledger.confirm(granted.lease)

    async def _spend(self, exchange: Exchange, admitted: Admitted, rules: Sequence[Rule], step: Step) -> None:
        taken: list[Granted] = []
        try:
            for rule in rules:
                if rule.is_for_all or _matches(rule.limit, step):
                    bucket = rule.bucket or _bucket(exchange, rule.limit, step)
                    decision = self._ledger.spend(bucket, limit=rule.limit.limit)
                    if not isinstance(decision, Leased):
                        decision = await self._decide(exchange, admitted, rule, bucket, decision)
                    taken.append(Granted(rule, decision))
        except BaseException:
            for granted in taken:
                self._ledger.give_back(granted.lease)
            admitted.returned = taken
            raise
        admitted.granted.extend(taken)
        if admitted.is_confirmed:
            for granted in taken:
                self._ledger.confirm(granted.lease)

    async def _decide(
        self, exchange: Exchange, admitted: Admitted, rule: Rule, bucket: Bucket, decision: Refused | None
    ) -> Leased:
        """When no lease at hand admits the request: ask, or do what `failMode` says. Raises as `admit`."""
        limit = rule.limit
        found: Decision = await self._wait(exchange, bucket, limit) if decision is None else decision
        if isinstance(found, Unavailable):
            if limit.fail_mode == "closed":
                raise LimiterUnavailable(f"limit {limit.name!r} cannot be decided right now", retry_after_s=1)
            exchange.note_degraded("limiter")
            found = self._ledger.spend_degraded(bucket, limit=limit.limit)
        if isinstance(found, Refused):
            admitted.refused = rule, found
            raise LimitExceeded(_used_up(limit), retry_after_s=found.retry_after_ms / 1000)
        return found

    async def _wait(self, exchange: Exchange, bucket: Bucket, limit: Limit) -> Leased | Refused | Unavailable:
        parent = exchange.span
        span = self._tracer.start(SpanName.ADMIT, parent=parent.traceparent) if parent is not None else None
        if span is None:
            return await self._ledger.wait(bucket, limit=limit.limit)
        try:
            return await self._ledger.wait(bucket, limit=limit.limit, traceparent=span.traceparent)
        finally:
            span.end()

    def _rules_of(self, gateway: Gateway) -> tuple[Rule, ...]:
        known = self._rules.get((gateway.account, gateway.name))
        if known is not None and known[0] is gateway:
            return known[1]
        if len(self._rules) >= _GATEWAYS_REMEMBERED_MAX:
            self._rules.clear()
        rules = tuple(_rule(gateway, limit) for limit in gateway.limits)
        self._rules[gateway.account, gateway.name] = gateway, rules
        return rules


def _used_up(limit: Limit) -> str:
    return f"limit {limit.name!r} of {limit.limit} {limit.unit} per {limit.window_s} s is used up"


def _rule(gateway: Gateway, limit: Limit) -> Rule:
    bucket = None
    if not limit.key:
        bucket = Bucket(gateway.account, gateway.name, limit.name, limit.technique, limit.window_s)
    is_for_all = not (limit.match_providers or limit.match_models)
    return Rule(limit, bucket, is_for_all, f'"{limit.name}";q={limit.limit};w={limit.window_s}', f'"{limit.name}";r=')


def _matches(limit: Limit, step: Step) -> bool:
    if limit.match_providers and step.provider.name not in limit.match_providers:
        return False
    return not limit.match_models or any(fnmatchcase(step.facts.model, pattern) for pattern in limit.match_models)


def _bucket(exchange: Exchange, limit: Limit, step: Step) -> Bucket:
    gateway = exchange.resolved.gateway
    values = tuple(_key_value(exchange, item, step) for item in limit.key)
    return Bucket(gateway.account, gateway.name, limit.name, limit.technique, limit.window_s, values)


def _key_value(exchange: Exchange, item: str, step: Step) -> str:
    """The value of a key item; a request that lacks it falls in the bucket of the empty value, never past the limit."""
    kind, _, name = item.partition(".")
    match kind:
        case "token":
            return exchange.authenticated.token_name
        case "provider":
            return step.provider.name
        case "model":
            return step.facts.model
        case "header":
            text = exchange.arrival.headers.get(name, "")
            return _hashed(text) if text and name.lower().encode() in CALLER_HEADERS else _bounded(text)
        case _:
            value = step.options.metadata.get(name, "")
            return ("false", "true")[value] if isinstance(value, bool) else _bounded(str(value))


def _bounded(value: str) -> str:
    """
    A value that a client chose, as part of a bucket's name: short, and UTF-8 whatever octets came.

    Another value is another bucket even so: what is too long is named by its hash.
    """
    if len(value) <= _KEY_VALUE_LENGTH_MAX and value.isascii():
        return value
    octets = value.encode("utf-8", "surrogateescape")
    return _hashed(value) if len(octets) > _KEY_VALUE_LENGTH_MAX else octets.decode("utf-8", "backslashreplace")


def _hashed(value: str) -> str:
    """What is too long for a bucket's name, or too secret: names are stored and logged."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def limit_headers(admitted: Admitted) -> str:
    """`RateLimit-Policy` and `RateLimit`, one item per limit (IETF draft ratelimit-headers); empty without limits."""
    passed = admitted.granted
    if not (passed or admitted.returned or admitted.refused):
        return ""
    if admitted.returned:
        names = {granted.rule.limit.name for granted in passed}
        passed = passed + [each for each in admitted.returned if each.rule.limit.name not in names]
    policies = [granted.rule.policy for granted in passed]
    items = [f"{granted.rule.item}{granted.lease.remaining};t={granted.lease.reset_ms // 1000}" for granted in passed]
    if admitted.refused is not None:
        rule, refused = admitted.refused
        policies.append(rule.policy)
        items.append(f"{rule.item}0;t={refused.reset_ms // 1000}")
    return f"RateLimit-Policy: {', '.join(policies)}\r\nRateLimit: {', '.join(items)}\r\n"
