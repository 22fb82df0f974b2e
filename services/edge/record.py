"""
Record: the log row and the payloads of one finished request, as columns for the spool.

Most columns are the same for all requests that end alike and come from the likeness (likeness.py). Everything that
could be a secret stays out by construction: no header, no query and no key has a column here, and of a universal body,
which carries the providers' keys, only the answering step's `query` is kept. Strings that a client chose are bounded.
Cost is in billionths of a dollar, so that sums are exact, and None when the rate is unknown.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from services.contracts.analytics.values import Columns
from services.contracts.router.values import Logs
from services.edge.capture import Capture, content_type_of, looks_like_text
from services.edge.exchange import Exchange
from services.edge.options import NOTHING, Options
from services.edge.plan import Step
from services.edge.spool.lines import ready

_ENCODER = msgspec.json.Encoder()
_TRACEPARENT_LENGTH = 55

NOTHING_SAID = ready(("", "", ""))
"""What most clients say of a request: no event id, no trace, no metadata."""

log_row: attrgetter[Columns] = attrgetter(
    "started_ms",
    "log_id",
    "settled.likeness.place",
    "settled.duration_ms",
    "settled.first_byte_ms",
    "settled.usage.tokens_in",
    "settled.usage.tokens_out",
    "settled.usage.tokens_cache_read",
    "settled.usage.tokens_cache_write",
    "settled.usage.tokens_reasoning",
    "settled.usage.source",
    "settled.cost_nanodollars",
    "settled.likeness.ending",
    "settled.said",
    "settled.likeness.origin",
    "settled.bytes_in",
    "reply.bytes_sent",
)
"""The row of an exchange that is settled: where its columns stand, in the order of `LogRow`."""


def is_row_kept(logs: Logs, options: Options) -> bool:
    """Whether the request belongs in the log."""
    return logs.is_collected if options.collect_log is None else options.collect_log


def are_payloads_kept(logs: Logs, options: Options) -> bool:
    """Whether its payloads do, too."""
    return logs.are_payloads_kept and options.collect_log_payload is not False and is_row_kept(logs, options)


def said_by_client(exchange: Exchange, options: Options) -> msgspec.Raw:
    """The columns `event_id`, `trace_id` and `metadata`: the trace is our own span's, else the caller's."""
    span, given = exchange.span, exchange.resolved.headers.traceparent
    if span is None and options is NOTHING and not given:
        return NOTHING_SAID
    traceparent = span.traceparent if span is not None else given if len(given) >= _TRACEPARENT_LENGTH else ""
    metadata = _ENCODER.encode(options.metadata).decode() if options.metadata else ""
    return ready((options.event_id, traceparent[3:35], metadata))


def log_body(exchange: Exchange, step: Step | None, capture: Capture | None) -> tuple[Columns | None, int]:
    """
    The payloads and how many characters they have; None when nothing may be kept or there is none. `capture`: of the
    answer.
    """
    likeness = exchange.settled.likeness
    body = step.body if step is not None else b""
    if type(body) is bytes and 0 < len(body) <= likeness.plain_bytes_max:
        request, is_request_cut = body.decode("utf-8", "replace"), False
    else:
        found = _request_payload(exchange, step)
        if found is None and capture is None:
            return None, 0
        request, is_request_cut = found or ("", False)
    response, is_response_cut = capture.payload() if capture is not None else ("", False)
    columns = (
        exchange.started_ms,
        exchange.log_id,
        likeness.owner,
        request,
        response,
        is_request_cut,
        is_response_cut,
    )
    return columns, len(request) + len(response)


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
    coding = step.noted.get("content-encoding", b"").decode("latin-1").lower()
    capture = Capture(bytes_max=exchange.settled.likeness.payload_bytes_max, coding=coding)
    capture.add(body)
    return capture.payload()
