"""A tracer that remembers: what spans were started, and what was said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kit.telemetry.tracing import AttributeValue, SpanKind


class NotedSpan:
    """A span that remembers what was said of it. `error` is None until it ends, then empty or the reason."""

    traceparent = "00-2af7651916cd43dd8448eb211c80319c-b7ad6b716920333e-01"

    def __init__(
        self, name: str, parent: str, kind: SpanKind, attributes: Mapping[str, AttributeValue], links: Sequence[str]
    ) -> None:
        self.name = name
        self.parent = parent
        self.kind = kind
        self.attributes = {str(name): value for name, value in attributes.items()}
        self.links = list(links)
        self.error: str | None = None

    @property
    def is_ended(self) -> bool:
        return self.error is not None

    def set(self, name: str, value: AttributeValue) -> None:
        self.attributes[str(name)] = value

    def end(self, *, error: str = "", end_ns: int | None = None) -> None:
        assert self.error is None, f"{self.name} ends twice"
        self.error = error


class NotingTracer:
    """Samples every request but those whose parent says no."""

    def __init__(self) -> None:
        self.spans: list[NotedSpan] = []

    def start(
        self,
        name: str,
        *,
        parent: str = "",
        kind: SpanKind = "internal",
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> NotedSpan | None:
        if parent.endswith("-00"):
            return None
        self.spans.append(NotedSpan(name, parent, kind, attributes or {}, links))
        return self.spans[-1]
