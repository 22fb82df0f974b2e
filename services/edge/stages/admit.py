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
from collections.abc import Awaitable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain
from operator import attrgetter

import msgspec

from services.contracts.limiter.values import Bucket
from services.contracts.router.values import Gateway, Limit
from services.edge.exchange import Exchange
from services.edge.leases.holding import Holding
from services.edge.leases.ledger import LeaseLedger
from services.edge.leases.values import Admitted as Leased
from services.edge.leases.values import Decision, Refused, Unavailable
from services.edge.plan import Step
from services.kit.errors import LimiterUnavailable, LimitExceeded
from services.kit.names import SpanName
from services.kit.telemetry.tracing import Span, Tracer

_GATEWAYS_REMEMBERED_MAX = 4096
_KEY_VALUE_LENGTH_MAX = 256
_FIGURES = attrgetter("remaining", "reset_s")
_UNDECIDED_S = 1
_UNDECIDED = Refused(_UNDECIDED_S * 1000, _UNDECIDED_S)
"""Under a limit that cannot be decided nothing may be spent right now; a client is told so, and when to try again."""


class Rule(msgspec.Struct, frozen=True, eq=False):
    """
    A limit, ready to be asked. `bucket` is set when the limit has no key; `is_for_all`: it matches on nothing.

    `policy` and `item` are its items of `RateLimit-Policy` and `RateLimit`, to be filled with numbers.
    """

    limit: Limit
    bucket: Bucket | None
    is_for_all: bool
    policy: str
    item: str
    used_up: str
    """What a request is told that it refuses."""


class GatewayRules(msgspec.Struct, frozen=True, eq=False):
    """
    A gateway's limits. `gateway` is kept because its address is what they are found by.

    `holdings`: what this edge has under each of them, if every one is for all requests and without a key. Then a
    request is admitted without a look at what it is. None if not so.
    """

    gateway: Gateway
    rules: tuple[Rule, ...]
    holdings: tuple[Holding, ...] | None


class Admitted(msgspec.Struct):
    """
    Everything spent for this request, `leases[n]` under `rules[n]`. Grows only when a later step has limits of its own.

    `returned`: what other limits would have let pass when one refused, for the headers. `first_refusal`: the first
    step's provider has a limit that is used up, and there are other steps.
    """

    rules: tuple[Rule, ...]
    leases: list[Leased]
    returned: tuple[tuple[Rule, Leased], ...] = ()
    refused: tuple[Rule, Refused] | None = None
    first_refusal: LimitExceeded | LimiterUnavailable | None = None
    is_confirmed: bool = False


class Admission:
    """Asks the ledger; one per edge, since it remembers each gateway's rules."""

    def __init__(self, *, ledger: LeaseLedger, tracer: Tracer) -> None:
        self._ledger = ledger
        self._tracer = tracer
        self._rules: dict[int, GatewayRules] = {}
        ledger.subscribe(self._rules.clear)

    def __len__(self) -> int:
        """Gateways remembered."""
        return len(self._rules)

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """
        Writes `admitted`, for the plan's first step. Raises LimitExceeded, LimiterUnavailable, as what it returns does.

        None when the leases at hand were enough to decide; else what is to be awaited.
        """
        gateway = exchange.resolved.gateway
        if not gateway.limits:
            exchange.admitted = Admitted((), [])
            return None
        known = self._rules.get(id(gateway)) or self._learn(gateway)
        holdings = known.holdings
        if holdings is None:
            exchange.admitted = Admitted((), [])
            plan = exchange.received.plan
            if len(plan) > 1:
                return self._admit_first(exchange, known.rules)
            return self._spend(exchange, known.rules, plan[0], [])
        leases = self._ledger.spend(holdings)
        short = len(leases)
        if short == len(holdings):
            exchange.admitted = Admitted(known.rules, leases)
            return None
        exchange.admitted = admitted = Admitted((), [])
        refused = self._ledger.refusal(holdings[short])
        if refused is None:
            return self._spend(exchange, known.rules, exchange.received.plan[0], leases)
        if leases:
            self._give_back(admitted, known.rules, leases)
        raise _refusal(admitted, known.rules[short], refused)

    async def admit_step(self, exchange: Exchange, step: Step) -> None:
        """Limits that match on a later step's provider. Raises as `admit`."""
        gateway, admitted = exchange.resolved.gateway, exchange.admitted
        if not gateway.limits:
            return
        if step is exchange.received.plan[0]:
            if admitted.first_refusal is not None:
                raise admitted.first_refusal
            return
        spent = {rule.limit.name for rule in admitted.rules}
        known = self._rules.get(id(gateway)) or self._learn(gateway)
        rules = [rule for rule in known.rules if rule.limit.match_providers and rule.limit.name not in spent]
        await self._spend(exchange, rules, step, [])

    def confirm(self, admitted: Admitted) -> None:
        """The request's head is with a provider, or the request has ended: what was spent is spent. Once is enough."""
        if not admitted.is_confirmed:
            admitted.is_confirmed = True
            if admitted.leases:
                self._ledger.confirm(*admitted.leases)

    async def _admit_first(self, exchange: Exchange, rules: Sequence[Rule]) -> None:
        """What the first of several steps is refused for its provider does not keep the others from being tried."""
        first = exchange.received.plan[0]
        await self._spend(exchange, [rule for rule in rules if not rule.limit.match_providers], first, [])
        try:
            await self._spend(exchange, [rule for rule in rules if rule.limit.match_providers], first, [])
        except (LimitExceeded, LimiterUnavailable) as error:
            exchange.admitted.first_refusal = error

    async def _spend(self, exchange: Exchange, rules: Sequence[Rule], step: Step, leases: list[Leased]) -> None:
        """Under each of the rules that is for this step; under the first ones `leases` has been spent already."""
        admitted, ledger, under = exchange.admitted, self._ledger, [*rules[: len(leases)]]
        try:
            for rule in rules[len(leases) :]:
                if rule.is_for_all or _matches(rule.limit, step):
                    bucket = rule.bucket or _bucket(exchange, rule.limit, step)
                    holding = ledger.holding(bucket, rule.limit.limit)
                    spent = ledger.spend((holding,)) if holding is not None else None
                    if spent:
                        decision: Decision = spent[0]
                    elif exchange.span is None:
                        decision = await ledger.wait(holding)
                    else:
                        decision = await self._wait_traced(exchange.span, holding)
                    if not isinstance(decision, Leased):
                        decision = self._instead(exchange, rule, bucket, decision)
                    leases.append(decision)
                    under.append(rule)
        except BaseException:
            self._give_back(admitted, under, leases)
            raise
        admitted.rules += tuple(under)
        admitted.leases += leases
        if admitted.is_confirmed:
            ledger.confirm(*leases)

    def _instead(self, exchange: Exchange, rule: Rule, bucket: Bucket, found: Refused | Unavailable) -> Leased:
        """What to do without a lease's unit: refuse, or what `failMode` says. Raises as `admit`."""
        limit = rule.limit
        decision: Leased | Refused
        if isinstance(found, Refused):
            decision = found
        elif limit.fail_mode == "closed":
            exchange.admitted.refused = rule, _UNDECIDED
            raise LimiterUnavailable(f"limit {limit.name!r} cannot be decided right now", retry_after_s=_UNDECIDED_S)
        else:
            exchange.note_degraded("limiter")
            decision = self._ledger.spend_degraded(bucket, limit=limit.limit)
        if isinstance(decision, Refused):
            raise _refusal(exchange.admitted, rule, decision)
        return decision

    async def _wait_traced(self, parent: Span, holding: Holding | None) -> Decision:
        """What is known already is no step of its own."""
        known = self._ledger.refusal(holding) if holding is not None else None
        if known is not None:
            return known
        span = self._tracer.start(SpanName.ADMIT, parent=parent.traceparent)
        if span is None:
            return await self._ledger.wait(holding)
        try:
            return await self._ledger.wait(holding, traceparent=span.traceparent)
        finally:
            span.end()

    def _give_back(self, admitted: Admitted, rules: Sequence[Rule], leases: list[Leased]) -> None:
        """Another limit does not let the request pass, or its client has left."""
        for leased in leases:
            self._ledger.give_back(leased)
        admitted.returned = tuple(zip(rules, leases, strict=False))

    def _learn(self, gateway: Gateway) -> GatewayRules:
        if len(self._rules) >= _GATEWAYS_REMEMBERED_MAX:
            self._rules.clear()
        rules = tuple(_rule(gateway, limit) for limit in gateway.limits)
        known = self._rules[id(gateway)] = GatewayRules(gateway, rules, self._holdings(rules))
        return known

    def _holdings(self, rules: Sequence[Rule]) -> tuple[Holding, ...] | None:
        holdings: list[Holding] = []
        for rule in rules:
            if rule.bucket is None or not rule.is_for_all:
                return None
            holding = self._ledger.holding(rule.bucket, rule.limit.limit)
            if holding is None:
                return None
            holdings.append(holding)
        return tuple(holdings)


def _refusal(admitted: Admitted, rule: Rule, refused: Refused) -> LimitExceeded:
    admitted.refused = rule, refused
    return LimitExceeded(rule.used_up, retry_after_s=refused.retry_after_ms / 1000)


def _rule(gateway: Gateway, limit: Limit) -> Rule:
    bucket = None
    if not limit.key:
        bucket = Bucket(gateway.account, gateway.name, limit.name, limit.technique, limit.window_s)
    name = limit.name.replace("%", "%%")
    return Rule(
        limit,
        bucket,
        is_for_all=not (limit.match_providers or limit.match_models),
        policy=f'"{name}";q={limit.limit};w={limit.window_s}',
        item=f'"{name}";r=%d;t=%d',
        used_up=f"limit {limit.name!r} of {limit.limit} {limit.unit} per {limit.window_s} s is used up",
    )


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
            return _hashed(text) if text else ""
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
    """
    What is too long for a bucket's name, or may be too secret: names are stored. Which header carries a key is the
    operator's to say, of the gateway token's as of a provider's, so no header's value is a name as it is.
    """
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def limit_headers(admitted: Admitted) -> str:
    """`RateLimit-Policy` and `RateLimit`, one item per limit (IETF draft ratelimit-headers); empty without limits."""
    if admitted.refused is not None or admitted.returned:
        return _headers_of_refused(admitted)
    if not admitted.rules:
        return ""
    return limit_lines(admitted.rules) % tuple(limit_figures(admitted))


def limit_figures(admitted: Admitted) -> Iterable[float]:
    """What stands in the places of the lines under `admitted.rules`."""
    return chain.from_iterable(map(_FIGURES, admitted.leases))


def _headers_of_refused(admitted: Admitted) -> str:
    """What was spent, what would have been, and what refused; a limit is named once."""
    refused = admitted.refused
    if refused is not None and not (admitted.rules or admitted.returned):
        return _lines_of_one(refused[0], int(refused[1].reset_s))
    shown: list[tuple[Rule, Leased | Refused]] = [*zip(admitted.rules, admitted.leases, strict=True)]
    spent = {rule.limit.name for rule in admitted.rules}
    shown += [pair for pair in admitted.returned if pair[0].limit.name not in spent]
    if refused is not None:
        shown.append(refused)
    figures = chain.from_iterable(_FIGURES(each) for _, each in shown)
    return limit_lines(tuple(rule for rule, _ in shown)) % tuple(figures)


@lru_cache(maxsize=_GATEWAYS_REMEMBERED_MAX)
def _lines_of_one(rule: Rule, reset_s: int) -> str:
    """The headers under one limit that is used up: the same for everybody within a second."""
    return limit_lines((rule,)) % (0, reset_s)


@lru_cache(maxsize=_GATEWAYS_REMEMBERED_MAX)
def limit_lines(rules: tuple[Rule, ...]) -> str:
    """The headers under these rules, with places for their numbers."""
    policies = ", ".join(rule.policy for rule in rules)
    items = ", ".join(rule.item for rule in rules)
    return f"RateLimit-Policy: {policies}\r\nRateLimit: {items}\r\n"
