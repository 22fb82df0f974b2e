"""A message that carries items of sampled requests is a span of its own, linked to theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.kit.rpc.server import RpcServer
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, conversation
from tests.fakes.tracer import NotingTracer
from tests.protocol.rpc.conftest import Dial, the_link

PARENTS = [f"00-{trace * 32}-{'b' * 16}-01" for trace in ("1", "2")]


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
    assert (span.name, span.kind, span.links, span.error) == ("narrows.test.v1.Parrot/Talk", "client", PARENTS, "")
    assert span.attributes == {"rpc.system": "grpc", "rpc.service": "narrows.test.v1.Parrot", "rpc.method": "Talk"}


async def test_a_message_without_sampled_items_is_no_span(server: RpcServer, dial: Dial, owner: Owner) -> None:
    tracer = NotingTracer()
    link = the_link(await dial(f"127.0.0.1:{server.port}", tracer=tracer))

    link.send((1, "hello", b""))
    await owner.until(lambda: owner.heard)

    assert tracer.spans == []
