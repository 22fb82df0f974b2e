"""
Stopping: an edge that is told to leave while its clients go on sending loses none of their requests.

A real process, so that the signal, the order in which its parts close and its exit status are the real ones. Its
provider and its analytics are in this process, and what reached them is compared with what the clients got.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.contracts.analytics.conversation import INGEST
from services.kit.rpc.server import RpcServer
from tests.harness.processes import NarrowsProcess, status_of, unused_port
from tests.protocol.port.conftest import gateway_document
from tests.protocol.port.dialogue import in_chunks
from tests.protocol.port.edges import until
from tests.protocol.port.provider import JSON_OK, Provider, stream
from tests.protocol.port.raw import RawAnswer, RawClient, post
from tests.protocol.upstream.scripted import Received, Visit
from tests.unit.edge.spool.analytics import Shelf, rows_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/local/main/openai/chat/completions"
LIMITS = "  limits: [{{name: many, unit: requests, limit: 1000000, windowS: 3600, technique: fixed}}]"
LAST = in_chunks(())
EVENTS = 20
PAUSE_S = 0.05
CLIENTS = 8
STREAMS = 4
PATIENT_S, HASTY_S = 30.0, 0.5
"""NARROWS_DRAIN_S."""
MARGIN_S = 5.0
"""For closing what is behind the port, on a machine that has other things to do."""


class Leaving:
    """An edge in a process of its own, and what it told analytics."""

    def __init__(self, process: NarrowsProcess, port: int, shelf: Shelf) -> None:
        self.process = process
        self.shelf = shelf
        self.port = port
        self.told_at_s = 0.0
        self.clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        self.clients.append(await RawClient.open("127.0.0.1", self.port))
        return self.clients[-1]

    def tell(self) -> None:
        """SIGTERM."""
        self.told_at_s = time.monotonic()
        self.process.signal(signal.SIGTERM)

    async def left(self) -> tuple[int, float]:
        """Its exit status, and the seconds it took."""
        status = await asyncio.to_thread(self.process.wait)
        return status, time.monotonic() - self.told_at_s


@asynccontextmanager
async def edge_process(folder: Path, provider: Provider, *, drain_s: float) -> AsyncIterator[Leaving]:
    """Started and ready."""
    shelf = Shelf()
    server = RpcServer("127.0.0.1:0")
    server.add(INGEST, shelf)
    resources = folder / "resources.yaml"
    resources.write_text(gateway_document("main", LIMITS, provider))
    port, health = unused_port(), f"127.0.0.1:{unused_port()}"
    async with server:
        environment = {
            "NARROWS_DATA_ADDRESS": f"127.0.0.1:{port}",
            "NARROWS_HEALTH_ADDRESS": health,
            "NARROWS_DATA_DIR": str(folder / "state"),
            "NARROWS_ANALYTICS": f"127.0.0.1:{server.port}",
            "NARROWS_DRAIN_S": str(drain_s),
        }
        arguments = ["--target", "edge", "--resources", str(resources)]
        process = NarrowsProcess("edge", arguments, environment, health=health, log=folder / "edge.log")
        process.start()
        try:
            await asyncio.to_thread(process.wait_until_ready)
            leaving = Leaving(process, port, shelf)
            yield leaving
            for client in leaving.clients:
                await client.close()
        finally:
            await asyncio.to_thread(process.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(
    listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Leaving, Leaving]]:
    """One that has time to leave and one that has little, started together because that takes seconds."""
    async with AsyncExitStack() as stack:
        opening = [
            stack.enter_async_context(
                edge_process(tmp_path_factory.mktemp("edge"), listening_provider, drain_s=bound_s)
            )
            for bound_s in (PATIENT_S, HASTY_S)
        ]
        patient, hasty = await asyncio.gather(*opening)
        yield patient, hasty


async def turn(visit: Visit, received: Received) -> None:
    """A stream that takes its time for those who ask for one; at once for the others."""
    if not (received.body and json.loads(received.body).get("stream")):
        await visit.send(JSON_OK)
        return
    await visit.send(stream(is_whole=False))
    for number in range(EVENTS):
        await visit.send(in_chunks((b'data: {"n":%d}\n\n' % number,)).removesuffix(LAST))
        await asyncio.sleep(PAUSE_S)
    await visit.send(in_chunks((b"data: [DONE]\n\n",)))


async def talk(client: RawClient, answers: list[RawAnswer]) -> None:
    """One request after the other on one connection, until an answer says that it is the last."""
    body = 0
    while True:
        body += 1
        answer = await client.ask(post(CHAT, b'{"n":"%06d"}' % body))
        answers.append(answer)
        if answer.get("connection") == "close":
            assert await client.ended() == b""
            return


async def test_an_edge_that_is_told_to_leave_under_load_fails_no_request(
    edges: tuple[Leaving, Leaving], provider: Provider
) -> None:
    leaving, _ = edges
    provider.turn = turn
    answers: list[RawAnswer] = []
    talking = [asyncio.create_task(talk(await leaving.connect(), answers)) for _ in range(CLIENTS)]
    streaming = [await leaving.connect() for _ in range(STREAMS)]
    uploading = await leaving.connect()
    idle = [await leaving.connect() for _ in range(3)]
    upload = post(CHAT, b'{"x":"%b"}' % (b"y" * 200_000))
    for client in streaming:
        await client.send(post(CHAT, b'{"stream":true}'))
    await uploading.send(upload[:100_000])
    begun = [await client.head() for client in streaming]
    await until(lambda: len(answers) > 10 * CLIENTS)
    many = len(answers)

    leaving.tell()
    await asyncio.to_thread(lambda: _wait_for(503, f"http://{leaving.process.health}/readyz"))
    late = await leaving.connect()
    answers.append(await late.ask(post(CHAT, b"{}")))
    await uploading.send(upload[100_000:])
    answers.append(await uploading.answer())
    async with asyncio.timeout(10):
        await asyncio.gather(*talking)
    for client, answer in zip(streaming, begun, strict=True):
        await client.rest(answer)
        assert await client.ended() == b""
    status, took_s = await leaving.left()

    assert [await client.ended() for client in idle] == [b""] * 3
    assert len(answers) > many
    assert {answer.status for answer in answers} == {200}
    assert all(answer.is_whole for answer in (*answers, *begun))
    assert [answer.get("connection") for answer in answers].count("close") == CLIENTS + 2
    assert all(answer.body.count(b"data: ") == EVENTS + 1 for answer in begun)
    assert status == 0
    assert EVENTS * PAUSE_S / 2 < took_s < EVENTS * PAUSE_S + MARGIN_S
    assert sorted(leaving.shelf.ids) == sorted(answer.get("cf-aig-log-id") or "" for answer in (*answers, *begun))
    assert len(provider.received) == len(answers) + len(begun)


async def test_requests_that_do_not_end_are_given_up_at_the_bound_told_and_booked(
    edges: tuple[Leaving, Leaving], provider: Provider
) -> None:
    _, leaving = edges
    let_go: list[bool] = []

    async def never(visit: Visit, received: Received) -> None:
        if json.loads(received.body).get("stream"):
            await visit.send(stream(b'data: {"n":1}\n\n', is_whole=False))
        await visit.left()
        let_go.append(True)

    provider.turn = never
    client, streaming = await leaving.connect(), await leaving.connect()
    await client.send(post(CHAT, b"{}"))
    await streaming.send(post(CHAT, b'{"stream":true}'))
    begun = await streaming.head()
    await until(lambda: len(provider.received) == 2)

    leaving.tell()
    status, took_s = await leaving.left()

    assert status == 0
    assert HASTY_S <= took_s < HASTY_S + MARGIN_S
    assert (await client.answer()).status == 503
    assert await client.ended() == b""
    assert not (await streaming.rest(begun)).is_whole
    assert b'"code":"2207"' in begun.chunks[-1]
    assert sorted(row.ended for batch in leaving.shelf.batches for row in rows_of(batch)) == ["cut", "refused"]
    await until(lambda: len(let_go) == 2)


def _wait_for(status: int, url: str) -> None:
    """Until that is the status."""
    deadline_s = time.monotonic() + 5
    while status_of(url) != status:
        assert time.monotonic() < deadline_s, f"{url} does not become {status}"
        time.sleep(0.01)
