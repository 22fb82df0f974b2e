"""Work that takes longer than the breaker waits, and a client that is itself held up, are no reasons to give up."""

from __future__ import annotations

import asyncio
import time

from services.kit.rpc.server import RpcServer
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, conversation
from tests.protocol.rpc.conftest import Dial, ParrotProcess, the_link


async def test_slow_work_on_a_living_process_does_not_open_the_breaker(dial: Dial, owner: Owner) -> None:
    parrot = Parrot()
    server = RpcServer("127.0.0.1:0")
    server.add(conversation(), parrot)
    async with server:
        links = await dial(f"127.0.0.1:{server.port}")
        parrot.gate.clear()
        sent_at_s = time.monotonic()

        the_link(links).send((1, "hello", b""), key=1)
        await owner.until(lambda: time.monotonic() - sent_at_s > 0.6)
        parrot.gate.set()
        await owner.until(lambda: owner.heard)

        assert [event for event, _ in owner.events] == ["opened", "received"]


async def test_a_client_that_is_held_up_itself_does_not_complain(
    parrot_process: ParrotProcess, dial: Dial, owner: Owner
) -> None:
    links = await dial(parrot_process.address)
    link = the_link(links)

    link.send((1, "hello", b""), key=1)
    await asyncio.sleep(0)
    time.sleep(0.6)
    await owner.until(lambda: owner.heard)

    assert [event for event, _ in owner.events] == ["opened", "received"]
