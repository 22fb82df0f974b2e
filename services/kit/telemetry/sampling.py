"""
Sampling: whether a trace is kept, decided at its head from its id and nothing else.

The samplers are those of OTEL_TRACES_SAMPLER, with the same arithmetic as everywhere else: a ratio keeps a trace if the
lower half of its id is below that part of its range. So processes that never spoke to each other keep the same
traces, and deciding costs a comparison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kit.errors import SettingsInvalid

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
LOWER_HALF = (1 << 64) - 1
_SAMPLED = 1
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parent:
    """A span elsewhere, as its `traceparent` names it."""

    trace_id: int
    span_id: int
    is_sampled: bool


@dataclass(frozen=True, slots=True)
class Sampling:
    """Keeps traces whose id's lower half is below `bound`; with a parent, maybe as the parent did."""

    bound: int
    is_parent_based: bool

    def keeps(self, trace_id: int) -> bool:
        """Keeps a trace of that id, whatever its parent did."""
        return trace_id & LOWER_HALF < self.bound

    def follows(self, parent: Parent) -> bool:
        """Keeps a span of that parent."""
        return parent.is_sampled if self.is_parent_based else self.keeps(parent.trace_id)


def sampling(name: str, ratio: float) -> Sampling:
    """The sampler of that name; `ratio` counts for those that have one."""
    if name not in SAMPLERS:
        raise SettingsInvalid(f"OTEL_TRACES_SAMPLER: must be one of {', '.join(SAMPLERS)}, is {name!r}")
    if not 0 <= ratio <= 1:
        raise SettingsInvalid(f"OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, is {ratio:g}")
    kind = name.removeprefix("parentbased_")
    kept = {"always_on": 1.0, "always_off": 0.0, "traceidratio": ratio}[kind]
    return Sampling(round(kept * (1 << 64)), is_parent_based=kind != name)


def parse_traceparent(traceparent: str) -> Parent | None:
    """The span it names, or None where it is not W3C Trace Context: then a trace begins here."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (traceparent.startswith("00") and len(traceparent) != len("00-") + 32 + 1 + 16 + len("-00")):
        return None
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, is_sampled=bool(int(found[3], 16) & _SAMPLED))


def format_traceparent(trace_id: int, span_id: int) -> str:
    """Of a sampled span."""
    return f"00-{trace_id:032x}-{span_id:016x}-01"
