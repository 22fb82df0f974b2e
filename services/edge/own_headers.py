"""
Own headers: what the gateway says about an answer (docs/wire.md section 3), and nothing else.

`Server-Timing` holds the gateway's own time by stage up to the moment the head leaves; the wait for the provider is
shown apart, so that the overhead can be read off every answer.
"""

from __future__ import annotations

from services.edge.exchange import Exchange
from services.edge.plan import Step
from services.edge.record import options_of
from services.edge.stages.admit import limit_headers


def own_headers(exchange: Exchange, step: Step | None, now_s: float) -> bytes:
    """Header lines, each with its line end. `step`: who answered; None on a refusal before any step."""
    lines = [f"cf-aig-log-id: {exchange.log_id}\r\n"]
    if exchange.has("recalled"):
        lines.append(f"cf-aig-cache-status: {exchange.recalled.status}\r\n")
    if step is not None:
        lines.append(f"cf-aig-step: {step.index}\r\ncf-aig-provider: {step.provider.name}\r\n")
        if step.facts.model and _is_plain(step.facts.model):
            lines.append(f"cf-aig-model: {step.facts.model}\r\n")
    event_id = options_of(exchange, step).event_id
    if event_id:
        lines.append(f"cf-aig-event-id: {event_id}\r\n")
    if exchange.has("resolved"):
        lines.append(f"cf-aig-config-version: {exchange.resolved.snapshot.version}\r\n")
    if exchange.degraded:
        lines.append(f"cf-aig-degraded: {','.join(exchange.degraded)}\r\n")
    lines.append(server_timing(exchange, now_s))
    text = "".join(lines).encode("utf-8", "surrogateescape")
    return text + limit_headers(exchange.admitted) if exchange.has("admitted") else text


def server_timing(exchange: Exchange, now_s: float) -> str:
    """`Server-Timing` with milliseconds per stage and the wait for the provider (W3C Server Timing)."""
    before_s = exchange.arrival.arrived_s
    wait_s = exchange.provider_wait_s
    items = []
    for stage, at_s in exchange.marks:
        items.append(f"{stage};dur={(at_s - before_s) * 1000:.3f}")
        before_s = at_s
    own_s = now_s - exchange.arrival.arrived_s - wait_s
    items.append(f"provider;dur={wait_s * 1000:.3f}")
    items.append(f"gateway;dur={own_s * 1000:.3f}")
    return f"Server-Timing: {', '.join(items)}\r\n"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
