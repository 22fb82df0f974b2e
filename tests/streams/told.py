"""
Told: an error of the gateway within a stream, as the client of each dialect must find it.

Read strictly and from the octets: an SDK forgives what another one does not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.fakes.providers.streams import ANTHROPIC, ARRAY, CHAT, GEMINI, RESPONSES, TGI, Spoken

CUT, STALLED = 2207, 2208
_STATUSES = {CUT: 502, STALLED: 504}
_GOOGLE = {CUT: "UNAVAILABLE", STALLED: "DEADLINE_EXCEEDED"}
_ANTHROPIC = {CUT: "api_error", STALLED: "timeout_error"}


@dataclass(frozen=True)
class Told:
    """The event's name, and its fields."""

    name: str
    fields: dict[str, Any]


def told_in(spoken: Spoken, rest: bytes) -> Told | None:
    """The one event, or the one item, that these octets are; None: there are none. Raises ValueError for all else."""
    if not rest:
        return None
    if spoken is ARRAY:
        text = rest.decode().strip()
        if not (text.startswith((",", "[")) and text.endswith("]")):
            raise ValueError(f"neither an item nor an end: {text!r}")
        return Told("", json.loads(text[1:-1]))
    *lines, first_end, second_end = rest.decode().lstrip("\n").split("\n")
    if first_end or second_end:
        raise ValueError(f"no event: {rest!r}")
    fields = dict(line.split(": ", 1) for line in lines)
    if not {"data"} <= fields.keys() <= {"event", "data"} or len(fields) != len(lines):
        raise ValueError(f"not one event: {rest!r}")
    return Told(fields.get("event", ""), json.loads(fields["data"]))


def is_proper(spoken: Spoken, told: Told, code: int) -> bool:
    """Whether a client of that dialect takes it for this error of the gateway."""
    fields = told.fields
    error = fields.get("error")
    nested: dict[str, Any] = error if isinstance(error, dict) else {}
    openai = {"type": "server_error", "code": str(code), "param": None}.items() <= nested.items()
    match spoken:
        case _ if spoken is CHAT:
            return openai and bool(nested["message"]) and not told.name
        case _ if spoken is RESPONSES:
            own = {"type": "error", "code": str(code), "param": None, "message": nested.get("message")}
            return openai and own.items() <= fields.items() and told.name == "error"
        case _ if spoken is ANTHROPIC:
            is_error = fields.get("type") == told.name == "error"
            return is_error and nested.get("type") == _ANTHROPIC[code] and bool(nested.get("message"))
        case _ if spoken in (GEMINI, ARRAY):
            own = {"code": _STATUSES[code], "status": _GOOGLE[code]}
            return own.items() <= nested.items() and bool(nested.get("message")) and not told.name
        case _:
            assert spoken is TGI
            return isinstance(error, str) and fields.get("error_type") == "generation"
