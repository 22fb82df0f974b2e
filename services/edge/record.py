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
from services.edge.capture import Capture, content_type_of, looks_like_text
from services.edge.exchange import Exchange
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
    gateway, address = resolved.gateway, resolved.address
    options = step.options if step is not None else options_of(exchange, step)
    relayed = getattr(exchange, "relayed", None)
    recalled = getattr(exchange, "recalled", None)
    authenticated = getattr(exchange, "authenticated", None)
    first_byte_s = relayed.first_byte_s if relayed is not None else None
    # In the order of the columns: named, these fields would cost more than the rest of the booking.
    return LogRow(
        exchange.started_ms,
        exchange.log_id,
        gateway.account,
        gateway.name,
        gateway.logs.retention_days,
        step.provider.name if step is not None else address.provider[:_TEXT_MAX],
        (bill.model or (step.facts.model if step is not None else ""))[:_TEXT_MAX],
        step.facts.model_type if step is not None else "",
        (step.path if step is not None else address.path)[:_PATH_MAX],
        arrival.method,
        address.kind,
        resolved.headers.noted.get("content-type", b"").decode("utf-8", "surrogateescape")[:_TEXT_MAX],
        relayed.content_type[:_TEXT_MAX] if relayed is not None else "application/json",
        ending.status,
        ending.status < 400 and ending.ended == "done",
        recalled.status if recalled is not None else "",
        step.index if step is not None else 0,
        exchange.attempts,
        round((ending.now_s - arrival.arrived_s) * 1000),
        None if first_byte_s is None else round((first_byte_s - arrival.arrived_s) * 1000),
        bill.tokens_in,
        bill.tokens_out,
        bill.tokens_cache_read,
        bill.tokens_cache_write,
        bill.tokens_reasoning,
        bill.source,
        bill.cost_nanodollars,
        bill.is_custom_cost,
        ending.ended,
        ending.error.code if ending.error is not None else 0,
        ",".join(exchange.degraded),
        authenticated.token_name if authenticated is not None else "",
        options.event_id,
        _trace_id(exchange),
        _ENCODER.encode(options.metadata).decode() if options.metadata else "",
        resolved.snapshot.version[:16],
        edge,
        _bytes_in(exchange),
        exchange.reply.bytes_sent,
    )


def log_body(exchange: Exchange, step: Step | None, row: LogRow) -> LogBody | None:
    """The payloads; None when nothing may be kept or there is none."""
    relayed = getattr(exchange, "relayed", None)
    capture = relayed.capture if relayed is not None else None
    request = _request_payload(exchange, step)
    if capture is None and request is None:
        return None
    request_text, is_request_cut = request if request is not None else ("", False)
    response_text, is_response_cut = capture.payload() if capture is not None else ("", False)
    return LogBody(
        row.created_at_ms,
        row.id,
        row.account,
        row.gateway,
        row.retention_days,
        request_text,
        response_text,
        is_request_cut,
        is_response_cut,
    )


def _request_payload(exchange: Exchange, step: Step | None) -> tuple[str, bool] | None:
    """
    The request's text as the provider got it, and whether it is cut: a held body's beginning, or what was kept of one
    in passing.
    """
    if step is None:
        return None
    body = step.body
    if not isinstance(body, bytes):
        reader = exchange.received.reader
        return reader.capture.payload() if reader is not None and reader.capture is not None else None
    content_type, is_text = content_type_of(step.noted.get("content-type", b""))
    if not body or not (is_text or (not content_type and looks_like_text(body))):
        return None
    bytes_max = exchange.resolved.gateway.logs.payload_bytes_max
    coding = step.noted.get("content-encoding")
    if coding is None and len(body) <= bytes_max:
        return body.decode("utf-8", "replace"), False
    capture = Capture(bytes_max=bytes_max, coding=(coding or b"").decode("latin-1").lower())
    capture.add(body)
    return capture.payload()


def _trace_id(exchange: Exchange) -> str:
    """Of our own span, else of the caller's trace."""
    if exchange.span is not None:
        return exchange.span.traceparent[3:35]
    given = exchange.resolved.headers.traceparent
    return given[3:35] if len(given) >= 55 else ""


def _bytes_in(exchange: Exchange) -> int:
    received = getattr(exchange, "received", None)
    if received is None:
        return 0
    return received.reader.bytes_read if received.reader is not None else len(received.body)
