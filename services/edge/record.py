"""
Record: the log row and the payloads of one finished request.

Everything that could be a secret stays out by construction: no header, no query and no key has a field here, and of a
universal body, which carries the providers' keys, only the answering step's `query` is kept. Strings that a client
chose are bounded. Cost is in billionths of a dollar, so that sums are exact, and None when
the rate is unknown.
"""

from __future__ import annotations

import msgspec

from services.contracts.analytics.values import Ended, LogBody, LogRow, UsageSource
from services.contracts.router.values import Logs
from services.edge.capture import Capture, is_text, looks_like_text
from services.edge.exchange import Exchange
from services.edge.headers import value_of
from services.edge.options import NOTHING, Options
from services.edge.plan import Step
from services.kit.errors import NarrowsError

_TEXT_MAX = 256
_PATH_MAX = 1024
_ENCODER = msgspec.json.Encoder()


class Bill(msgspec.Struct, frozen=True):
    """Tokens and money of one request. A cached answer has its tokens and costs 0."""

    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_reasoning: int | None = None
    source: UsageSource = "none"
    cost_nanodollars: int | None = None
    is_custom_cost: bool = False


class Ending(msgspec.Struct, frozen=True):
    """How the request ended, as seen from outside."""

    status: int
    ended: Ended
    now_s: float
    error: NarrowsError | None


def options_of(exchange: Exchange, step: Step | None) -> Options:
    """The options that hold for this request: the answering step's, else the first one's, else the request's own."""
    if step is not None:
        return step.options
    if exchange.has("received"):
        return exchange.received.plan[0].options
    return exchange.resolved.options if exchange.has("resolved") else NOTHING


def is_row_kept(logs: Logs, options: Options) -> bool:
    """Whether the request belongs in the log."""
    return logs.is_collected if options.collect_log is None else options.collect_log


def are_payloads_kept(logs: Logs, options: Options) -> bool:
    """Whether its payloads do, too."""
    return is_row_kept(logs, options) and logs.are_payloads_kept and options.collect_log_payload is not False


def log_row(exchange: Exchange, step: Step | None, bill: Bill, ending: Ending, *, edge: str) -> LogRow:
    """The row. Needs `resolved`."""
    resolved, arrival = exchange.resolved, exchange.arrival
    gateway = resolved.gateway
    options = options_of(exchange, step)
    relayed = exchange.relayed if exchange.has("relayed") else None
    first_byte_s = relayed.first_byte_s if relayed is not None else None
    return LogRow(
        created_at_ms=exchange.started_ms,
        id=exchange.log_id,
        account=gateway.account,
        gateway=gateway.name,
        retention_days=gateway.logs.retention_days,
        provider=step.provider.name if step is not None else resolved.address.provider[:_TEXT_MAX],
        model=(bill.model or (step.facts.model if step is not None else ""))[:_TEXT_MAX],
        model_type=step.facts.model_type if step is not None else "",
        path=(step.path if step is not None else resolved.address.path)[:_PATH_MAX],
        method=arrival.method,
        request_type=resolved.address.kind,
        request_content_type=arrival.headers.get("Content-Type", "")[:_TEXT_MAX],
        response_content_type=relayed.content_type[:_TEXT_MAX] if relayed is not None else "application/json",
        status_code=ending.status,
        success=ending.status < 400 and ending.ended == "done",
        cache_status=exchange.recalled.status if exchange.has("recalled") else "",
        step=step.index if step is not None else 0,
        attempts=exchange.attempts,
        duration_ms=round((ending.now_s - arrival.arrived_s) * 1000),
        time_to_first_byte_ms=None if first_byte_s is None else round((first_byte_s - arrival.arrived_s) * 1000),
        tokens_in=bill.tokens_in,
        tokens_out=bill.tokens_out,
        tokens_cache_read=bill.tokens_cache_read,
        tokens_cache_write=bill.tokens_cache_write,
        tokens_reasoning=bill.tokens_reasoning,
        usage_source=bill.source,
        cost_nanodollars=bill.cost_nanodollars,
        custom_cost=bill.is_custom_cost,
        ended=ending.ended,
        error_code=ending.error.code if ending.error is not None else 0,
        degraded=",".join(exchange.degraded),
        token_name=exchange.authenticated.token_name if exchange.has("authenticated") else "",
        event_id=options.event_id,
        trace_id=_trace_id(exchange),
        metadata=_ENCODER.encode(options.metadata).decode() if options.metadata else "",
        config_version=resolved.snapshot.version[:16],
        edge=edge,
        bytes_in=_bytes_in(exchange),
        bytes_out=exchange.reply.bytes_sent,
    )


def log_body(exchange: Exchange, step: Step | None, row: LogRow) -> LogBody | None:
    """The payloads; None when nothing may be kept or there is none."""
    capture = exchange.relayed.capture if exchange.has("relayed") else None
    request = _request_capture(exchange, step)
    if capture is None and request is None:
        return None
    request_text = request.text() if request is not None else ""
    response_text = capture.text() if capture is not None else ""
    return LogBody(
        created_at_ms=row.created_at_ms,
        id=row.id,
        account=row.account,
        gateway=row.gateway,
        retention_days=row.retention_days,
        request=request_text,
        response=response_text,
        is_request_cut=request is not None and request.is_cut,
        is_response_cut=capture is not None and capture.is_cut,
    )


def _request_capture(exchange: Exchange, step: Step | None) -> Capture | None:
    """The request's text as the provider got it: a held body's beginning, or what was kept of one in passing."""
    if step is None:
        return None
    if not isinstance(step.body, bytes):
        reader = exchange.received.reader
        return reader.capture if reader is not None else None
    content_type = value_of(step.headers, b"content-type").decode("latin-1")
    if not step.body or not (is_text(content_type) or (not content_type and looks_like_text(step.body))):
        return None
    coding = value_of(step.headers, b"content-encoding").decode("latin-1").lower()
    capture = Capture(bytes_max=exchange.resolved.gateway.logs.payload_bytes_max, coding=coding)
    capture.add(step.body)
    return capture


def _trace_id(exchange: Exchange) -> str:
    """Of our own span, else of the caller's trace."""
    if exchange.span is not None:
        return exchange.span.traceparent[3:35]
    given = exchange.resolved.headers.traceparent
    return given[3:35] if len(given) >= 55 else ""


def _bytes_in(exchange: Exchange) -> int:
    if not exchange.has("received"):
        return 0
    received = exchange.received
    return received.reader.bytes_read if received.reader is not None else len(received.body)
