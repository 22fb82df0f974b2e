"""
Universal surface: an array of steps, tried in order until one answers.

A step's provider gets that step's headers only, so no vendor sees another's key. The JSON of `query` goes out as the
text that came in. A single object counts as one step, and a trailing comma, as in some published examples, is forgiven.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from services.edge.exchange import Exchange
from services.edge.headers import noted_of
from services.edge.options import Options, options_of_config, over, parse_options
from services.edge.plan import Plan, Step
from services.edge.stages.resolve import find_provider
from services.edge.surfaces.address import split_query
from services.edge.surfaces.commas import CommaRepair
from services.edge.surfaces.steps import StepBuilder, StepDraft
from services.edge.turns import LARGE_BYTES, another_turn
from services.kit.errors import Malformed, NotBuilt

STEPS_MAX = 32
_NOT_FROM_CLIENT = (b"content-length",)
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _WireStep(msgspec.Struct):
    provider: str
    endpoint: str = ""
    headers: dict[str, str | int | float | bool | None] = {}
    config: dict[str, Any] = {}
    query: msgspec.Raw = msgspec.Raw(b"")


_TRAILING_COMMA = re.compile(r"trailing comma in (?:array|object) \(byte (\d+)\)$")
"""What the decoder says of the first fault of a body, and where the bracket behind the comma stands."""
_STEPS = msgspec.json.Decoder(list[_WireStep])
_ONE_STEP = msgspec.json.Decoder(_WireStep)


async def plan(exchange: Exchange, body: bytes, *, builder: StepBuilder, repair: CommaRepair) -> Plan:
    """
    All steps, in their order. Raises Malformed with the path of what was wrong, UnknownProvider, KeyUnavailable,
    NotBuilt.
    """
    wire_steps = await _decode(body, repair)
    if not wire_steps:
        raise Malformed("the body must be an array of at least one step")
    if len(wire_steps) > STEPS_MAX:
        raise Malformed(f"the body must have at most {STEPS_MAX} steps, has {len(wire_steps)}")
    return tuple([await _step(exchange, index, wire, builder) for index, wire in enumerate(wire_steps)])


async def _decode(body: bytes, repair: CommaRepair) -> list[_WireStep]:
    try:
        return _decode_strictly(body)
    except Malformed as error:
        found = _TRAILING_COMMA.search(error.message)
        if found is None:
            raise
    await another_turn()
    repaired = await repair.without_trailing_commas(body, int(found[1]))
    await another_turn()
    return _decode_strictly(repaired)


def _decode_strictly(body: bytes) -> list[_WireStep]:
    try:
        return [_ONE_STEP.decode(body)] if body[:256].lstrip()[:1] == b"{" else _STEPS.decode(body)
    except msgspec.DecodeError as error:
        raise Malformed(f"the body must be a JSON array of steps: {error}") from None
    except UnicodeDecodeError:
        raise Malformed("the body must be a JSON array of steps: its text is not UTF-8") from None
    except RecursionError:
        raise Malformed("the body must be a JSON array of steps: it is nested too deeply") from None


async def _step(exchange: Exchange, index: int, wire: _WireStep, builder: StepBuilder) -> Step:
    resolved = exchange.resolved
    if wire.provider == "compat":
        raise NotBuilt(f"[{index}].provider: the unified endpoint (compat) is not built yet")
    provider = find_provider(resolved.snapshot, resolved.gateway, wire.provider)
    sorted_headers = builder.sorter.sort(_raw_headers(index, wire))
    path, query = split_query(wire.endpoint.lstrip("/"))
    headers = _with_content_type_and_trace(sorted_headers.passing, exchange)
    draft = StepDraft(
        index=index,
        provider=provider,
        method="POST",
        path=path,
        query=query,
        headers=headers,
        noted=noted_of(headers),
        options=over(_step_options(index, sorted_headers.options, wire.config), resolved.options),
    )
    form, body = builder.form(draft, resolved.gateway), bytes(wire.query)
    return builder.build(form, body) if len(body) <= LARGE_BYTES else await builder.build_in_turns(form, body)


def _step_options(index: int, header_options: dict[str, str], config: dict[str, Any]) -> Options:
    try:
        return parse_options({**header_options, **options_of_config(config)})
    except Malformed as error:
        raise Malformed(f"[{index}]: {error.message}") from None


def _raw_headers(index: int, wire: _WireStep) -> list[tuple[bytes, bytes]]:
    raw: list[tuple[bytes, bytes]] = []
    for name, value in wire.headers.items():
        if value is None:
            continue
        text = ("false", "true")[value] if isinstance(value, bool) else str(value)
        spelled, content = name.encode(), text.encode()
        if not spelled or not _TOKEN.issuperset(spelled):
            # It is not repeated: whoever took a whole line for a name has written a key there.
            raise Malformed(f"[{index}].headers: a header name holds letters, digits and !#$%&'*+-.^_`|~ only")
        if b"\r" in content or b"\n" in content or b"\0" in content:
            raise Malformed(f"[{index}].headers.{name[:64]}: must be one line")
        if spelled.lower() not in _NOT_FROM_CLIENT:
            raw.append((spelled, content))
    return raw


def _with_content_type_and_trace(passing: list[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in passing}
    added = [] if b"content-type" in names else [(b"Content-Type", b"application/json")]
    own = exchange.resolved.headers
    if own.traceparent and b"traceparent" not in names:
        added.append((b"traceparent", own.traceparent.encode("latin-1")))
        if own.tracestate and b"tracestate" not in names:
            added.append((b"tracestate", own.tracestate.encode("latin-1")))
    return passing + added
