"""
Own headers: what the gateway says about an answer (docs/wire.md section 3), and nothing else.

`Server-Timing` holds the gateway's own time by stage up to the moment the head leaves; the wait for the provider is
shown apart, so that the overhead can be read off every answer.
"""

from __future__ import annotations

from operator import sub
from typing import TYPE_CHECKING

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.stages.admit import limit_figures, limit_headers, limit_lines

if TYPE_CHECKING:
    from services.edge.plan import Said

OWN_LINES_MAX = 16
"""Remembered for one request head: one for each model, cache status and set of limits that applied."""

_MARKED = ("resolve", "receive", "admit", "recall")
_TIMINGS = tuple(
    "Server-Timing: " + ", ".join(f"{stage};dur=%.3f" for stage in (*_MARKED[:count], "provider", "gateway")) + "\r\n"
    for count in range(len(_MARKED) + 1)
)
"""By the number of stages that have ended."""
_to_ms = (1000.0).__mul__
_END = "\r\n"


def own_headers(exchange: Exchange, step: Step, now_s: float) -> bytes:
    """Header lines of an answer, each with its line end. `step`: who answered."""
    admitted, arrived_s, wait_s = exchange.admitted, exchange.arrival.arrived_s, exchange.provider_wait_s
    is_refused_in_part = admitted.refused is not None or bool(admitted.returned)
    form, rules = step.form, () if is_refused_in_part else admitted.rules
    said = step.facts.model, exchange.recalled.status, rules
    known = form.own_lines.get(said) if form is not None else None
    resolve_s, receive_s, admit_s, recall_s = exchange.marks_s
    lines = (known or _learn(exchange, step, said)) % (
        exchange.log_id,
        (resolve_s - arrived_s) * 1000,
        (receive_s - resolve_s) * 1000,
        (admit_s - receive_s) * 1000,
        (recall_s - admit_s) * 1000,
        wait_s * 1000,
        (now_s - arrived_s - wait_s) * 1000,
        _degraded_line(exchange) if exchange.degraded else "",
        *(limit_figures(admitted) if rules else ()),
    )
    if is_refused_in_part:
        lines += limit_headers(admitted)
    return lines.encode("utf-8", "surrogateescape")


def _learn(exchange: Exchange, step: Step, said: Said) -> str:
    """The lines of an answer that went through every stage, with places for what each answer has of its own."""
    model, cache_status, rules = said
    event_id = step.options.event_id
    is_plain = model.isascii() and model.isprintable()
    fixed = (
        f"cf-aig-step: {step.index}\r\ncf-aig-provider: {step.provider.name}\r\n",
        f"cf-aig-model: {model}\r\n" if model and is_plain else "",
        _event_line(event_id) if event_id else "",
        f"cf-aig-config-version: {exchange.resolved.snapshot.version}\r\ncf-aig-cache-status: {cache_status}\r\n",
    )
    beginning = "".join(fixed).replace("%", "%%")
    lines = f"cf-aig-log-id: %s\r\n{_TIMINGS[-1]}{beginning}%s{limit_lines(rules) if rules else ''}"
    if step.form is not None:
        known = step.form.own_lines
        if len(known) >= OWN_LINES_MAX:
            known.clear()
        known[said] = lines
    return lines


def refusal_headers(exchange: Exchange, now_s: float) -> bytes:
    """The same on a refusal, as far as the request has come."""
    lines = f"cf-aig-log-id: {exchange.log_id}\r\n{server_timing(exchange, now_s)}"
    resolved = getattr(exchange, "resolved", None)
    if resolved is not None:
        received, recalled = getattr(exchange, "received", None), getattr(exchange, "recalled", None)
        event_id = (received.plan[0] if received is not None else resolved).options.event_id
        lines += (
            f"{_event_line(event_id) if event_id else ''}"
            f"cf-aig-config-version: {resolved.snapshot.version}\r\n"
            f"{f'cf-aig-cache-status: {recalled.status}{_END}' if recalled is not None else ''}"
            f"{_degraded_line(exchange) if exchange.degraded else ''}"
            f"{limit_headers(exchange.admitted) if hasattr(exchange, 'admitted') else ''}"
        )
    return lines.encode("utf-8", "surrogateescape")


def _event_line(event_id: str) -> str:
    return f"cf-aig-event-id: {event_id}\r\n"


def _degraded_line(exchange: Exchange) -> str:
    return f"cf-aig-degraded: {','.join(exchange.degraded)}\r\n"


def server_timing(exchange: Exchange, now_s: float) -> str:
    """`Server-Timing` with milliseconds per stage and the wait for the provider (W3C Server Timing)."""
    return _TIMINGS[len(exchange.marks_s)] % _spent_ms(exchange, now_s)


def _spent_ms(exchange: Exchange, now_s: float) -> tuple[float, ...]:
    """In each stage that has ended, waiting for the provider, and in the gateway besides."""
    arrived_s, wait_s, marks_s = exchange.arrival.arrived_s, exchange.provider_wait_s, exchange.marks_s
    stages_ms = map(_to_ms, map(sub, marks_s, (arrived_s, *marks_s)))
    return (*stages_ms, wait_s * 1000, (now_s - arrived_s - wait_s) * 1000)
