"""What Narrows refuses is said in the client's own protocol, told by the path if the gateway is not known yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from services.edge.exchange import Exchange
from services.edge.refusal import refuse, shape_of_target
from services.kit.errors import LimitExceeded, NarrowsError, Overloaded


@dataclass
class Arrival:
    target: str = "/v1/acme/nowhere/openai/chat/completions"
    method: str = "POST"
    is_http_1_0: bool = False
    arrived_s: float = 0.0


@dataclass
class Reply:
    sent: bytes = b""

    def decide(self) -> bool:
        return False

    def send(self, content: bytes) -> None:
        self.sent += content


@dataclass
class Refusing:
    """What a refusal reads of a request that has not come to any stage."""

    arrival: Arrival = field(default_factory=Arrival)
    reply: Reply = field(default_factory=Reply)
    log_id: str = "01J0000000000000000000000A"
    marks_s: list[float] = field(default_factory=list)
    provider_wait_s: float = 0.0


def lines(error: NarrowsError, **changes: str) -> list[bytes]:
    """All lines of the answer but the ones that tell the request apart."""
    refusing = Refusing(Arrival(**changes))  # type: ignore[arg-type]  # fields by name
    refuse(cast("Exchange", refusing), error)
    return [line for line in refusing.reply.sent.split(b"\r\n") if not line.startswith((b"cf-aig-log", b"Server-T"))]


BODY = b'{"error":{"message":"too many","type":"rate_limit_error","code":"2012","param":null}}'
SHARED = [b"Content-Type: application/json", b"Content-Length: %d" % len(BODY), b""]
EXCEEDED = [b"HTTP/1.1 429 Too Many Requests", b"cf-aig-error-code: 2012"]


def test_a_refusal_says_when_to_come_back_in_whole_seconds() -> None:
    answers = [lines(LimitExceeded("too many", retry_after_s=after_s)) for after_s in (0.01, 1.0, 1.01, 3.0)]

    assert answers == [[*EXCEEDED, b"Retry-After: %d" % after_s, *SHARED, BODY] for after_s in (1, 1, 2, 3)]


def test_words_of_one_refusal_are_not_those_of_another() -> None:
    error = LimitExceeded("too many", retry_after_s=1)
    assert lines(error)[-1] == BODY

    assert lines(Overloaded("too many", retry_after_s=1))[:2] == [
        b"HTTP/1.1 503 Service Unavailable",
        b"cf-aig-error-code: 2101",
    ]
    assert lines(error, target="/v1/acme/nowhere/anthropic/v1/messages")[-1].startswith(b'{"type":"error"')
    assert lines(LimitExceeded("too many")) == [*EXCEEDED, *SHARED, BODY]


def test_a_refused_head_request_has_the_length_and_no_body() -> None:
    assert lines(LimitExceeded("too many"), method="HEAD") == [*EXCEEDED, *SHARED, b""]


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("/v1/acme/nowhere/openai/chat/completions", "openai"),
        ("/v1/acme/nowhere/groq/openai/v1/embeddings?x=1", "openai"),
        ("/v1/acme/nowhere/anthropic/v1/messages", "anthropic"),
        ("/v1/acme/nowhere/google-ai-studio/v1beta/models/g:generateContent", "google"),
        ("/v1/acme/nowhere/compat/chat/completions", "openai"),
        ("/v1/acme/nowhere/compat/v1/messages", "anthropic"),
        ("/openai/chat/completions", "openai"),
        ("/v1/acme/nowhere/replicate/v1/predictions", "plain"),
        ("/v1/acme/nowhere", "plain"),
        ("/v1/acme", "plain"),
        ("*", "plain"),
    ],
)
def test_the_path_tells_how_errors_look(target: str, shape: str) -> None:
    assert shape_of_target(target) == shape
