from __future__ import annotations

import pytest

from services.edge.spans import end_attempt
from services.kit.errors import FirstByteTimeout, NarrowsError
from services.kit.telemetry.tracing import AttributeValue


class NotedSpan:
    """Notes what it is told."""

    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def __init__(self) -> None:
        self.attributes: dict[str, AttributeValue] = {}
        self.errors: list[str] = []

    def set(self, name: str, value: AttributeValue) -> None:
        self.attributes[name] = value

    def end(self, *, error: str = "", end_ns: int | None = None) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(
    ("status", "error", "attributes", "told"),
    [
        (200, None, {"http.response.status_code": 200}, ""),
        (503, None, {"http.response.status_code": 503, "error.type": "503"}, ""),
        (None, FirstByteTimeout("too late"), {"error.type": "2205"}, "too late"),
        (None, None, {}, "cancelled"),
    ],
)
def test_an_attempt_says_how_it_ended(
    status: int | None, error: NarrowsError | None, attributes: dict[str, AttributeValue], told: str
) -> None:
    span = NotedSpan()

    end_attempt(span, status=status, error=error)

    assert (span.attributes, span.errors) == (attributes, [told])
