"""
Stage 6, recall: has this been answered before, or is it being answered right now?

The near cache costs a dictionary look-up. Else the cache service is asked once; it says hit, fill (this request
asks the provider, and what it gets is stored), or join (another request is asking). Without the cache a request
goes on alone and never waits for it. Only the plan's first step is looked up and stored: what a fallback answered
is no answer to the question that the first provider was asked.
"""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import msgspec

from services.contracts.analytics.values import CacheStatus
from services.contracts.cache.values import Fill, Hit, Join, JoinHead, Miss
from services.contracts.router.values import Gateway
from services.edge.answers.answers import Answers
from services.edge.answers.key import AnswerKeys, KeySeed, Question
from services.edge.answers.recall import First, Recall
from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.source import JoinedAnswer, StoredAnswer
from services.edge.turns import LARGE_BYTES
from services.kit.errors import FirstByteTimeout
from services.kit.names import SpanName
from services.kit.telemetry.tracing import Tracer

KEY_WITHOUT_TTL_S = 300
_METHODS = frozenset(("POST", "GET", "QUERY"))


class Recalled(msgspec.Struct, frozen=True):
    """
    `source` is an answer from the cache, whole or coming; `recall` is set when this request fills. `is_late`: another
    request's answer was waited for as long as the plan's first attempt may take, in vain.
    """

    status: CacheStatus
    ttl_s: int = 0
    source: StoredAnswer | JoinedAnswer | None = None
    recall: Recall | None = None
    is_late: bool = False


_BYPASS = Recalled("BYPASS")
_ALONE = Recalled("MISS")
_LATE = Recalled("MISS", is_late=True)


class Recaller:
    """Looks answers up."""

    def __init__(self, *, answers: Answers, tracer: Tracer) -> None:
        self._answers = answers
        self._keys = AnswerKeys()
        self._tracer = tracer

    async def recall(self, exchange: Exchange) -> None:
        """
        Writes `recalled`. Raises FirstByteTimeout when joined and the other request's answer does not begin in time,
        and the plan has nothing else to try.
        """
        step = exchange.received.plan[0]
        gateway, body, form = exchange.resolved.gateway, step.body, step.form
        ttl_s = form.ttl_s if form is not None else None
        if ttl_s is None:
            ttl_s = _ttl_s(step, gateway)
        if ttl_s == 0 or not isinstance(body, bytes) or exchange.admitted.first_refusal is not None:
            exchange.recalled = _BYPASS
            return
        seed = form.seed if form is not None else None
        if seed is None:
            seed = self._seed(gateway, step)
        key = seed.key(body) if len(body) <= LARGE_BYTES else await seed.key_in_turns(body)
        near = self._answers.near(key)
        if near is not None:
            exchange.recalled = Recalled("HIT", 0, StoredAnswer(near))
            return
        span = None if exchange.span is None else self._tracer.start(SpanName.RECALL, parent=exchange.span.traceparent)
        recall = self._answers.recall(
            key,
            entry_bytes_max=gateway.cache.entry_bytes_max,
            traceparent="" if span is None else span.traceparent,
        )
        try:
            first = await recall.first
            if type(first) is Fill and not first.is_degraded:
                exchange.recalled = Recalled("MISS", ttl_s, None, recall)
            else:
                exchange.recalled = await self._outcome(exchange, step, first, recall, ttl_s)
        except BaseException:
            recall.leave()
            raise
        finally:
            if span is not None:
                span.end()

    async def _outcome(self, exchange: Exchange, step: Step, first: First, recall: Recall, ttl_s: int) -> Recalled:
        if isinstance(first, Hit):
            return Recalled("HIT", 0, StoredAnswer(first))
        if first.is_degraded:
            exchange.note_degraded("cache")
        match first:
            case Fill():
                return Recalled("MISS", ttl_s, None, recall)
            case Join():
                return await self._join(exchange, step, recall, ttl_s)
            case Miss():
                return _ALONE

    async def _join(self, exchange: Exchange, step: Step, recall: Recall, ttl_s: int) -> Recalled:
        """Wait for the other request's head, at most as long as this request would wait for its own first byte."""
        timeouts = step.timeouts
        wait_s = (timeouts.first_byte_ms if timeouts.first_byte_ms is not None else timeouts.idle_ms) / 1000
        waited_from_s = time.monotonic()
        try:
            item = await recall.next(timeout_s=wait_s)
        except TimeoutError:
            if len(exchange.received.plan) == 1 and step.retries.attempts_max <= 1:
                raise FirstByteTimeout(f"the first byte did not come within {wait_s:g} s") from None
            recall.leave()
            return _LATE
        finally:
            exchange.provider_wait_s += time.monotonic() - waited_from_s
        match item:
            case JoinHead():
                source = JoinedAnswer(recall, item, idle_timeout_s=timeouts.idle_ms / 1000)
                return Recalled("COALESCED", 0, source)
            case Fill():
                return Recalled("MISS", ttl_s, None, recall)
            case Miss(is_degraded=True):
                exchange.note_degraded("cache")
                return _ALONE
            case _:
                return _ALONE

    def _seed(self, gateway: Gateway, step: Step) -> KeySeed:
        """The seed of the step's keys, made once for all requests with the same head."""
        question = Question(
            provider=step.provider,
            base_url=step.base_url,
            method=step.method,
            target=step.target,
            headers=step.headers,
            own_key=step.options.cache_key,
            stored_key_alias=step.key_alias,
        )
        seed = self._keys.seed(gateway, question)
        if step.form is not None:
            step.form.seed = seed
        return seed


def _ttl_s(step: Step, gateway: Gateway) -> int:
    """As `effective_ttl_s`, and remembered for all requests with the same head, unless their model matters."""
    ttl_s = effective_ttl_s(step, gateway)
    if step.form is not None and not gateway.cache.include_models:
        step.form.ttl_s = ttl_s
    return ttl_s


def effective_ttl_s(step: Step, gateway: Gateway) -> int:
    """Seconds for which the answer may be stored; 0: the cache is neither read nor written."""
    options = step.options
    if options.skip_cache or step.method not in _METHODS or step.noted.get("range"):
        return 0
    if options.cache_ttl_s is not None:
        return options.cache_ttl_s
    if options.cache_key:
        return gateway.cache.ttl_s or KEY_WITHOUT_TTL_S
    return gateway.cache.ttl_s if _is_included(step, gateway) else 0


def _is_included(step: Step, gateway: Gateway) -> bool:
    """
    Whether the gateway's own ttl is meant for this request.

    Only a POST that its dialect knows as inference: an upload, a job or a poll is not the same question asked again.
    """
    rules, facts = gateway.cache, step.facts
    if rules.ttl_s == 0 or step.method != "POST" or not facts.model_type:
        return False
    if rules.include_models and not any(fnmatchcase(facts.model, pattern) for pattern in rules.include_models):
        return False
    return not rules.include_paths or any(fnmatchcase(step.path, pattern) for pattern in rules.include_paths)
