"""
Spans of the edge: what a sampled request and its attempts say about themselves.

Only ever called for sampled requests, so nothing here is on the path of the others. Names follow the OpenTelemetry
conventions for generative AI (kit/names.py). Hazard: no header, query, body or key may become an attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.kit.errors import NarrowsError
from services.kit.names import Attribute
from services.kit.telemetry.tracing import AttributeValue, Span

if TYPE_CHECKING:
    from services.edge.stages.settle import Settled

OPERATIONS = {"chat": "chat", "response": "chat", "completion": "text_completion", "embedding": "embeddings"}
"""Kinds of request to the operations of the conventions; every other one generates content."""
HTTP_ERROR = 400
NANODOLLARS = 1_000_000_000


def of_attempt(step: Step, *, number: int) -> dict[str, AttributeValue]:
    """What is known of an attempt when it begins. `number` counts from 1 over the whole request."""
    return {
        Attribute.GEN_AI_OPERATION: OPERATIONS.get(step.facts.model_type, "generate_content"),
        Attribute.GEN_AI_PROVIDER: step.provider.name,
        Attribute.GEN_AI_REQUEST_MODEL: step.facts.model,
        Attribute.GEN_AI_STREAM: step.facts.is_stream,
        Attribute.HTTP_METHOD: step.method,
        Attribute.SERVER_ADDRESS: step.origin.host,
        Attribute.SERVER_PORT: step.origin.port,
        Attribute.STEP: step.index,
        Attribute.ATTEMPT_NUMBER: number,
    }


def end_attempt(span: Span, *, status: int | None, error: NarrowsError | None) -> None:
    """The answer's head was accepted, or the attempt failed, or (neither) the client left meanwhile."""
    if status is not None:
        span.set(Attribute.HTTP_STATUS, status)
        if status >= HTTP_ERROR:
            span.set(Attribute.ERROR_TYPE, str(status))
    if error is not None:
        span.set(Attribute.ERROR_TYPE, str(error.code))
        span.end(error=error.message)
    else:
        span.end(error="" if status is not None else "cancelled")


def end_request(span: Span, exchange: Exchange, step: Step | None, error: NarrowsError | None) -> None:
    """The request has ended, however it ended, and is settled."""
    for name, value in _of_request(exchange, error).items():
        span.set(name, value)
    if step is not None:
        span.set(Attribute.GEN_AI_PROVIDER, step.provider.name)
        span.set(Attribute.GEN_AI_REQUEST_MODEL, step.facts.model)
        span.set(Attribute.GEN_AI_STREAM, step.facts.is_stream)
    for name, amount in _of_bill(exchange.settled).items():
        span.set(name, amount)
    span.end(error=error.message if error is not None else "")


def _of_request(exchange: Exchange, error: NarrowsError | None) -> dict[str, AttributeValue]:
    traits = exchange.settled.likeness.traits
    said: dict[str, AttributeValue] = {
        Attribute.HTTP_STATUS: traits.status,
        Attribute.ENDED: traits.ended,
        Attribute.LOG_ID: exchange.log_id,
    }
    if error is not None:
        said[Attribute.ERROR_TYPE] = str(error.code)
    if exchange.has("resolved"):
        gateway = exchange.resolved.gateway
        said[Attribute.ACCOUNT] = gateway.account
        said[Attribute.GATEWAY] = gateway.name
        said[Attribute.CONFIG_VERSION] = exchange.resolved.snapshot.version
    if exchange.has("recalled"):
        said[Attribute.CACHE_STATUS] = exchange.recalled.status
    if exchange.degraded:
        said[Attribute.DEGRADED] = ",".join(exchange.degraded)
    if exchange.has("relayed") and exchange.relayed.first_byte_s is not None:
        said[Attribute.GEN_AI_TIME_TO_FIRST_CHUNK] = exchange.relayed.first_byte_s - exchange.arrival.arrived_s
    return said


def _of_bill(settled: Settled) -> dict[str, AttributeValue]:
    usage, cost_nanodollars = settled.usage, settled.cost_nanodollars
    known: dict[str, AttributeValue | None] = {
        Attribute.GEN_AI_RESPONSE_MODEL: usage.model or None,
        Attribute.GEN_AI_TOKENS_IN: usage.tokens_in,
        Attribute.GEN_AI_TOKENS_OUT: usage.tokens_out,
        Attribute.GEN_AI_TOKENS_CACHE_READ: usage.tokens_cache_read,
        Attribute.GEN_AI_TOKENS_CACHE_WRITE: usage.tokens_cache_write,
        Attribute.GEN_AI_TOKENS_REASONING: usage.tokens_reasoning,
        Attribute.USAGE_SOURCE: usage.source,
        Attribute.COST: None if cost_nanodollars is None else cost_nanodollars / NANODOLLARS,
    }
    return {name: value for name, value in known.items() if value is not None}
