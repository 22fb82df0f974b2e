"""
Own headers: what the gateway says about an answer (docs/wire.md section 3), and nothing else.

`Server-Timing` holds the gateway's own time by stage up to the moment the head leaves; the wait for the provider is
shown apart, so that the overhead can be read off every answer.
"""

from __future__ import annotations

from functools import lru_cache

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.stages.admit import limit_headers

_MARKED = ("resolve", "receive", "admit", "recall")
_TIMINGS = tuple(
    "Server-Timing: " + ", ".join(f"{stage};dur=%.3f" for stage in (*_MARKED[:count], "provider", "gateway")) + "\r\n"
    for count in range(len(_MARKED) + 1)
)
"""By the number of stages that have ended."""
_END = "\r\n"


def own_headers(exchange: Exchange, step: Step, now_s: float) -> bytes:
    """Header lines of an answer, each with its line end. `step`: who answered."""
    event_id = step.options.event_id
    lines = (
        f"cf-aig-log-id: {exchange.log_id}\r\n{server_timing(exchange, now_s)}"
        f"{_answerer(step.index, step.provider.name, step.facts.model)}"
        f"{_event_line(event_id) if event_id else ''}"
        f"cf-aig-config-version: {exchange.resolved.snapshot.version}\r\n"
        f"cf-aig-cache-status: {exchange.recalled.status}\r\n"
        f"{_degraded_line(exchange) if exchange.degraded else ''}{limit_headers(exchange.admitted)}"
    )
    return lines.encode("utf-8", "surrogateescape")


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


@lru_cache(maxsize=1024)  # the same models answer again and again
def _answerer(index: int, provider: str, model: str) -> str:
    lines = f"cf-aig-step: {index}\r\ncf-aig-provider: {provider}\r\n"
    is_plain = model.isascii() and model.isprintable()
    return f"{lines}cf-aig-model: {model}\r\n" if model and is_plain else lines


def server_timing(exchange: Exchange, now_s: float) -> str:
    """`Server-Timing` with milliseconds per stage and the wait for the provider (W3C Server Timing)."""
    arrived_s = before_s = exchange.arrival.arrived_s
    wait_s = exchange.provider_wait_s
    own_ms = (now_s - arrived_s - wait_s) * 1000
    marks = exchange.marks_s
    if len(marks) == len(_MARKED):
        resolve_s, receive_s, admit_s, recall_s = marks
        return _TIMINGS[-1] % (
            (resolve_s - arrived_s) * 1000,
            (receive_s - resolve_s) * 1000,
            (admit_s - receive_s) * 1000,
            (recall_s - admit_s) * 1000,
            wait_s * 1000,
            own_ms,
        )
    spent_ms: list[float] = []
    for at_s in marks:
        spent_ms.append((at_s - before_s) * 1000)
        before_s = at_s
    return _TIMINGS[len(spent_ms)] % (*spent_ms, wait_s * 1000, own_ms)
