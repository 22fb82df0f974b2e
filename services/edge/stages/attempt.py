"""
Stage 7, attempt: walk the plan until a provider answers.

The one attempt loop. Retries, backoff, first-byte timeout, fallback, ejected targets last, stored keys: all of it
is here, and every surface gets it. An attempt is accepted when its status is not one to try again, and, where it
could still be tried again or a first-byte timeout runs, when the first byte of its body has come: nothing fails
over after that.

Hazard: a request's body may be a stream that exists once. When its first byte has left, there is no second attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from functools import partial

import msgspec

from services.contracts.router.values import Outcome
from services.edge.configuration.configuration import Configuration
from services.edge.exchange import Exchange
from services.edge.heads import request_head
from services.edge.plan import Plan, Step, StreamedBody
from services.edge.spans import end_attempt, of_attempt
from services.edge.stages.admit import Admission
from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.request import ChunkedBody, UpstreamRequest
from services.kit.errors import (
    FirstByteTimeout,
    KeyUnavailable,
    LimiterUnavailable,
    LimitExceeded,
    NarrowsError,
    Overloaded,
    UpstreamAddressRefused,
    UpstreamError,
)
from services.kit.names import SpanName
from services.kit.telemetry.tracing import Span, Tracer

RETRYABLE = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
_HEALTH_FAILURES = frozenset((*range(500, 600),))
_RETRY_AFTER_S_MAX = 5.0


class Attempted(msgspec.Struct, frozen=True):
    """Who answered. `source` is the provider's answer, not taken yet."""

    step: Step
    source: UpstreamAnswer


Given = UpstreamAnswer | NarrowsError
"""What an attempt gave: an answer, or the error instead of one."""


class Attempter:
    """Walks plans."""

    def __init__(
        self,
        *,
        upstream: UpstreamClient,
        configuration: Configuration,
        admission: Admission,
        tracer: Tracer,
    ) -> None:
        self._upstream = upstream
        self._configuration = configuration
        self._admission = admission
        self._tracer = tracer

    def attempt(self, exchange: Exchange) -> Awaitable[None]:
        """
        Gives what is to be awaited. It writes `attempted`; it raises UpstreamError, KeyUnavailable, LimitExceeded, ...:
        the last step's failure.
        """
        plan = exchange.received.plan
        if len(plan) == 1 and plan[0].retries.attempts_max <= 1:
            return self._try_only(exchange, plan[0])
        return self._walk(exchange, plan)

    async def _try_only(self, exchange: Exchange, step: Step) -> None:
        """Most plans: one step, tried once."""
        exchange.attempts += 1
        given = await self._try_once(exchange, step, is_final=True)
        if not isinstance(given, UpstreamAnswer):
            raise given
        exchange.attempted = Attempted(step, given)

    async def _walk(self, exchange: Exchange, plan: Plan) -> None:
        """
        Try the steps in their order, each as often as it may be. Having waited for another request's answer in vain
        was the first step's first attempt.
        """
        late = plan[0] if exchange.recalled.is_late else None
        if len(plan) > 1:
            plan = self._in_order(plan)
        failure: NarrowsError | None = None
        for step in plan:
            is_last_step = step is plan[-1]
            count = 0 if step is not late else 1
            if count >= step.retries.attempts_max:
                failure = FirstByteTimeout("the first byte did not come in time")
                continue
            if len(plan) > 1:
                try:
                    await self._admission.admit_step(exchange, step)
                except (LimitExceeded, LimiterUnavailable) as error:
                    failure = error
                    continue
            while True:
                count += 1
                exchange.attempts += 1
                is_last = count >= step.retries.attempts_max or isinstance(step.body, StreamedBody)
                given = await self._try_once(exchange, step, is_final=is_last and is_last_step)
                if is_last or not _is_retryable(given):
                    break
                await self._pause(exchange, step, count, given)
            if not isinstance(given, UpstreamAnswer):
                failure = given
            elif is_last_step or given.status < 400:
                exchange.attempted = Attempted(step, given)
                return
            else:
                given.dismiss()
            if step is exchange.received.plan[0] and exchange.recalled.recall is not None:
                # What others wait for is this step's answer: one of them may fetch it.
                exchange.recalled.recall.end("failed")
        assert failure is not None
        raise failure

    async def _pause(self, exchange: Exchange, step: Step, count: int, given: Given) -> None:
        """Give up what the `count`-th attempt gave, and wait before the next one."""
        pause_s = _pause_s(step, count, given)
        if isinstance(given, UpstreamAnswer):
            given.dismiss()
        exchange.provider_wait_s += pause_s
        await asyncio.sleep(pause_s)

    async def _try_once(self, exchange: Exchange, step: Step, *, is_final: bool) -> Given:
        """One request to one provider, up to the moment the answer is accepted."""
        span = self._span(exchange, step) if exchange.span is not None else None
        given: Given | None = None
        started_s = time.monotonic()
        try:
            request = self._request(exchange, step, span)
            first_byte_ms = step.timeouts.first_byte_ms
            if first_byte_ms is None and is_final:
                given = await self._upstream.send(request)
            else:
                given = await self._send_to_first_byte(request, step, first_byte_ms)
        except (UpstreamError, KeyUnavailable, Overloaded) as error:
            given = error
        finally:
            exchange.provider_wait_s += time.monotonic() - started_s
            self._report(step, given, span)
        return given

    async def _send_to_first_byte(
        self, request: UpstreamRequest, step: Step, first_byte_ms: int | None
    ) -> UpstreamAnswer:
        """The answer once the first byte of its body is here. Raises as `send`, and FirstByteTimeout."""
        try:
            async with asyncio.timeout(first_byte_ms / 1000 if first_byte_ms is not None else None):
                answer = await self._upstream.send(request)
                try:
                    await answer.more()
                except BaseException:
                    answer.abort()
                    raise
                return answer
        except TimeoutError:
            raise FirstByteTimeout(
                f"{step.provider.name} sent no byte of its answer within {first_byte_ms} ms"
            ) from None

    def _request(self, exchange: Exchange, step: Step, span: Span | None) -> UpstreamRequest:
        body, timeouts = step.body, step.timeouts
        if span is None and not step.key_alias:
            head = request_head(step)
        else:
            head = request_head(
                step,
                stored_key=self._stored_key(exchange, step) if step.key_alias else "",
                traceparent=span.traceparent if span is not None else "",
            )
        return UpstreamRequest(
            step.origin,
            step.method.encode(),
            head,
            body if isinstance(body, bytes) else ChunkedBody(body.pieces, body.length_bytes),
            timeouts.connect_ms / 1000,
            timeouts.idle_ms / 1000,
            partial(self._admission.confirm, exchange.admitted),
        )

    def _stored_key(self, exchange: Exchange, step: Step) -> str:
        gateway = exchange.resolved.gateway
        key = self._configuration.stored_key(gateway.account, gateway.name, step.provider.name, step.key_alias)
        if key is None:
            raise KeyUnavailable(
                f"the stored key {step.key_alias!r} for {step.provider.name} is not available on this edge right now",
                retry_after_s=1,
            )
        return key

    def _in_order(self, plan: Plan) -> Plan:
        """Ejected targets last: they are only tried when nothing else is left."""
        return tuple(sorted(plan, key=lambda step: self._configuration.is_ejected(step.watched)))

    def _span(self, exchange: Exchange, step: Step) -> Span | None:
        assert exchange.span is not None
        return self._tracer.start(
            SpanName.ATTEMPT,
            parent=exchange.span.traceparent,
            kind="client",
            attributes=of_attempt(step, number=exchange.attempts),
        )

    def _report(self, step: Step, given: Given | None, span: Span | None) -> None:
        """Tell the router, unless the client left meanwhile, and close the attempt's span."""
        is_success = isinstance(given, UpstreamAnswer) and given.status not in _HEALTH_FAILURES
        if is_success or isinstance(given, UpstreamAnswer) or is_the_providers(given):
            self._configuration.report(Outcome(step.watched, is_success, 1, "" if span is None else span.traceparent))
        if span is not None:
            status = given.status if isinstance(given, UpstreamAnswer) else None
            end_attempt(span, status=status, error=given if isinstance(given, NarrowsError) else None)


def is_the_providers(error: Given | None) -> bool:
    """Whether a failed attempt says something about the provider's health; that we refuse its address does not."""
    return isinstance(error, UpstreamError) and not isinstance(error, UpstreamAddressRefused)


def _is_retryable(given: Given) -> bool:
    if isinstance(given, UpstreamAnswer):
        return given.status in RETRYABLE
    return isinstance(given, UpstreamError)


def _pause_s(step: Step, count: int, given: Given) -> float:
    """The pause after the `count`-th attempt; a provider's `Retry-After` up to 5 s goes before the configured one."""
    asked_s = _retry_after_s(given) if isinstance(given, UpstreamAnswer) else None
    if asked_s is not None and asked_s <= _RETRY_AFTER_S_MAX:
        return asked_s
    delay_s = step.retries.delay_ms / 1000
    match step.retries.backoff:
        case "constant":
            return delay_s
        case "linear":
            return delay_s * count
        case "exponential":
            return float(delay_s * 2 ** (count - 1))


def _retry_after_s(answer: UpstreamAnswer) -> float | None:
    for name, value in answer.headers:
        if name.lower() == b"retry-after":
            text = value.strip()
            return float(text) if text.isdigit() and len(text) < 9 else None
    return None
