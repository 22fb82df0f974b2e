"""
Own headers: what the gateway says about an answer (docs/wire.md section 3), and nothing else.

`Server-Timing` holds the gateway's own time by stage up to the moment the head leaves; the wait for the provider is
shown apart, so that the overhead can be read off every answer.
"""

from __future__ import annotations

from functools import lru_cache

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.record import options_of
from services.edge.stages.admit import limit_headers

_MARKED = ("resolve", "receive", "admit", "recall")
_TIMINGS = tuple(
    "Server-Timing: " + ", ".join(f"{stage};dur=%.3f" for stage in (*_MARKED[:count], "provider", "gateway")) + "\r\n"
    for count in range(len(_MARKED) + 1)
)
"""By the number of stages that have ended."""


def own_headers(exchange: Exchange, step: Step | None, now_s: float) -> bytes:
    """Header lines, each with its line end. `step`: who answered; None on a refusal before any step."""
    is_resolved = step is not None or exchange.has("resolved")
    lines = [f"cf-aig-log-id: {exchange.log_id}\r\n", server_timing(exchange, now_s)]
    if step is not None:
        lines.append(_answerer(step.index, step.provider.name, step.facts.model))
    event_id = options_of(exchange, step).event_id
    if event_id:
        lines.append(f"cf-aig-event-id: {event_id}\r\n")
    if is_resolved:
        lines.append(f"cf-aig-config-version: {exchange.resolved.snapshot.version}\r\n")
    if exchange.has("recalled"):
        lines.append(f"cf-aig-cache-status: {exchange.recalled.status}\r\n")
    if exchange.degraded:
        lines.append(f"cf-aig-degraded: {','.join(exchange.degraded)}\r\n")
    if exchange.has("admitted"):
        lines.append(limit_headers(exchange.admitted))
    return "".join(lines).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)  # the same models answer again and again
def _answerer(index: int, provider: str, model: str) -> str:
    lines = f"cf-aig-step: {index}\r\ncf-aig-provider: {provider}\r\n"
    is_plain = model.isascii() and model.isprintable()
    return f"{lines}cf-aig-model: {model}\r\n" if model and is_plain else lines


def server_timing(exchange: Exchange, now_s: float) -> str:
    """`Server-Timing` with milliseconds per stage and the wait for the provider (W3C Server Timing)."""
    arrived_s = before_s = exchange.arrival.arrived_s
    wait_s = exchange.provider_wait_s
    spent_ms: list[float] = []
    for at_s in exchange.marks_s:
        spent_ms.append((at_s - before_s) * 1000)
        before_s = at_s
    own_ms = (now_s - arrived_s - wait_s) * 1000
    return _TIMINGS[len(spent_ms)] % (*spent_ms, wait_s * 1000, own_ms)
