"""A message that carries items of sampled requests is a span of its own, linked to theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from services.kit.rpc.server import RpcServer
from services.kit.telemetry.tracing import AttributeValue, Span, SpanKind
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, conversation
from tests.protocol.rpc.conftest import Dial, the_link

PARENTS = [f"00-{trace * 32}-{'b' * 16}-01" for trace in ("1", "2")]


class NotedSpan:
    """A span that remembers what was said of it."""

    traceparent = "00-2af7651916cd43dd8448eb211c80319c-b7ad6b716920333e-01"

    def __init__(self, name: str, kind: str, attributes: Mapping[str, AttributeValue], links: Sequence[str]) -> None:
        self.name = name
        self.kind = kind
        self.attributes = dict(attributes)
        self.links = list(links)
        self.ends = 0

    def set(self, name: str, value: AttributeValue) -> None:
        self.attributes[name] = value

    def end(self, *, error: str = "", end_ns: int | None = None) -> None:
        self.ends += 1


class NotingTracer:
    """Samples everything."""

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
    ) -> Span | None:
        self.spans.append(NotedSpan(name, kind, attributes or {}, links))
        return self.spans[-1]


@pytest.fixture
async def server() -> AsyncIterator[RpcServer]:
    server = RpcServer("127.0.0.1:0")
    server.add(conversation(), Parrot())
    async with server:
        yield server


async def test_a_message_with_sampled_items_is_a_span_with_links(server: RpcServer, dial: Dial, owner: Owner) -> None:
    tracer = NotingTracer()
    link = the_link(await dial(f"127.0.0.1:{server.port}", tracer=tracer))

    link.send((1, "hello", b""))
    for parent in PARENTS:
        link.send((2, "sampled", parent.encode()))
    await owner.until(lambda: len(owner.heard) == 3)

    [span] = tracer.spans
    assert (span.name, span.kind, span.links, span.ends) == ("narrows.test.v1.Parrot/Talk", "client", PARENTS, 1)
    assert span.attributes == {"rpc.system": "grpc", "rpc.service": "narrows.test.v1.Parrot", "rpc.method": "Talk"}


async def test_a_message_without_sampled_items_is_no_span(server: RpcServer, dial: Dial, owner: Owner) -> None:
    tracer = NotingTracer()
    link = the_link(await dial(f"127.0.0.1:{server.port}", tracer=tracer))

    link.send((1, "hello", b""))
    await owner.until(lambda: owner.heard)

    assert tracer.spans == []
