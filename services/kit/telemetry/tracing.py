"""
Traces: spans that cost nothing unless a request is sampled.

A request is sampled at its head, once: `Tracer.start` gives None for an unsampled one, and everything after it
carries that None. Across processes a span is its W3C `traceparent`; items of a batch carry theirs, so the
service's span for an item is a child of the edge's span, and the batch itself is a span with links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

SpanKind = Literal["internal", "server", "client"]
AttributeValue = str | int | float | bool


class Span(Protocol):
    """One running span of a sampled request."""

    @property
    def traceparent(self) -> str:
        """What a child elsewhere names as its parent: `00-{trace}-{span}-01`."""
        ...

    def set(self, name: str, value: AttributeValue) -> None:
        """Add an attribute; names come from kit/names.py."""
        ...

    def end(self, *, error: str = "", end_ns: int | None = None) -> None:
        """Close the span; `error` makes its status an error with that description. Once."""
        ...


class Tracer(Protocol):
    """Starts spans, or does not."""

    def start(
        self,
        name: str,
        *,
        parent: str = "",
        kind: SpanKind = "internal",
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> Span | None:
        """
        A span, or None when it is not sampled.

        `parent` is a traceparent (its sampled flag decides under a parent-based sampler); empty starts a trace.
        """
        ...


class NoTracer:
    """Traces are off."""

    def start(
        self,
        name: str,
        *,
        parent: str = "",
        kind: SpanKind = "internal",
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> Span | None:
        return None
