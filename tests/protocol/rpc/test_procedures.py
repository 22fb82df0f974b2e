"""Procedures over real gRPC: answers, streams of answers, and errors that cross as themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec
import pytest

from services.kit.errors import DependencyUnavailable, LimitExceeded, NarrowsError, QueryInvalid
from services.kit.rpc.procedure import Procedure, RemoteProcedures
from services.kit.rpc.server import RpcServer
from tests.fakes.owner import Owner


def procedure(name: str) -> Procedure[int, int]:
    return Procedure(
        dependency="reckoner",
        method=f"/narrows.test.v1.Reckoner/{name}",
        encode_question=msgspec.msgpack.encode,
        decode_question=msgspec.msgpack.Decoder(int).decode,
        encode_answer=msgspec.msgpack.encode,
        decode_answer=msgspec.msgpack.Decoder(int).decode,
    )


SQUARE = procedure("Square")
COUNT = procedure("Count")


class Reckoner:
    """Squares numbers and counts; what is negative it does not understand."""

    def __init__(self) -> None:
        self.left_after: list[int] = []

    async def square(self, number: int) -> int:
        if number == 13:
            raise ZeroDivisionError("the secret is 42")
        if number == 99:
            await asyncio.Event().wait()
        if number < 0:
            raise QueryInvalid("number: must be 0 or more")
        return number * number

    async def count(self, number: int) -> AsyncGenerator[int, None]:
        if number < 0:
            raise LimitExceeded("not today", retry_after_s=3.0)
        given = 0
        try:
            while number == 0 or given < number:
                given += 1
                yield given
                await asyncio.sleep(0)
        finally:
            self.left_after.append(given)


@pytest.fixture
def reckoner() -> Reckoner:
    return Reckoner()


@pytest.fixture
async def server(reckoner: Reckoner) -> AsyncIterator[RpcServer]:
    server = RpcServer("127.0.0.1:0")
    server.answer(SQUARE, reckoner.square)
    server.stream(COUNT, reckoner.count)
    async with server:
        yield server


@pytest.fixture
def remote(server: RpcServer) -> RemoteProcedures:
    return RemoteProcedures(target=f"127.0.0.1:{server.port}")


async def test_a_question_is_answered(remote: RemoteProcedures) -> None:
    assert await remote.ask(SQUARE, 12, deadline_s=5) == 144


async def test_an_error_crosses_as_itself(remote: RemoteProcedures) -> None:
    with pytest.raises(QueryInvalid, match="number: must be 0 or more"):
        await remote.ask(SQUARE, -1, deadline_s=5)


async def test_an_unforeseen_error_says_nothing_of_itself(
    remote: RemoteProcedures, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NarrowsError, match=r"^internal error$"):
        await remote.ask(SQUARE, 13, deadline_s=5)

    assert "ZeroDivisionError" in caplog.text


async def test_an_answer_that_does_not_come_in_time_is_not_waited_for(remote: RemoteProcedures) -> None:
    with pytest.raises(DependencyUnavailable, match=r"reckoner did not answer within 0\.05 s"):
        await remote.ask(SQUARE, 99, deadline_s=0.05)


async def test_a_replica_that_is_down_is_passed_over(server: RpcServer) -> None:
    remote = RemoteProcedures(target=f"127.0.0.1:1,127.0.0.1:{server.port}")

    assert await remote.ask(SQUARE, 3, deadline_s=5) == 9


async def test_a_name_is_asked_at_its_addresses(server: RpcServer) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    remote = RemoteProcedures(target=f"dns:///reckoner:{server.port}", resolve=resolve)

    assert await remote.ask(SQUARE, 3, deadline_s=5) == 9


async def test_without_a_replica_the_dependency_is_unavailable() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("unknown")

    by_name = RemoteProcedures(target="dns:///reckoner:1", resolve=resolve)
    by_address = RemoteProcedures(target="127.0.0.1:1")

    with pytest.raises(DependencyUnavailable, match="reckoner does not resolve"):
        await by_name.ask(SQUARE, 3, deadline_s=5)
    with pytest.raises(DependencyUnavailable, match="reckoner does not answer"):
        await by_address.ask(SQUARE, 3, deadline_s=5)


async def test_answers_are_followed_to_their_end(remote: RemoteProcedures) -> None:
    assert [answer async for answer in remote.follow(COUNT, 5)] == [1, 2, 3, 4, 5]


async def test_an_error_of_a_stream_crosses_as_itself(remote: RemoteProcedures) -> None:
    with pytest.raises(LimitExceeded, match="not today") as raised:
        _ = [answer async for answer in remote.follow(COUNT, -1)]

    assert raised.value.retry_after_s == 3.0


async def test_who_stops_following_closes_the_generator_on_the_other_side(
    remote: RemoteProcedures, reckoner: Reckoner, owner: Owner
) -> None:
    answers = remote.follow(COUNT, 0)
    async for answer in answers:
        if answer == 3:
            break
    await answers.aclose()
    await owner.until(lambda: reckoner.left_after)

    assert reckoner.left_after[0] >= 3
