"""Redis scripts: calls travel together, whatever the server forgets, closes or keeps waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from services.kit.redis import CONNECTIONS_MAX, OUTAGES, RedisClient, open_redis
from services.kit.redis_scripts import RedisScripts, Script, ScriptCall
from tests.redis_server import RedisServer

ECHO = Script("return ARGV[1]")
PUSH = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[RedisClient]:
    async with open_redis(server.url) as opened:
        yield opened


def echo(text: str | bytes) -> ScriptCall:
    return ECHO, (), (text,)


async def test_results_stand_in_the_order_of_the_calls(client: RedisClient) -> None:
    results = await RedisScripts(client=client).run([echo("a"), (PUSH, ["list"], [1]), echo(b"\x00\xff\r\n")])

    assert results == [b"a", 1, b"\x00\xff\r\n"]


async def test_one_call_that_is_refused_does_not_spoil_the_others(client: RedisClient) -> None:
    await client.set("text", "no list")

    first, refused, last = await RedisScripts(client=client).run([echo("a"), (PUSH, ["text"], ["x"]), echo("b")])

    assert (first, last) == (b"a", b"b")
    assert isinstance(refused, ResponseError)


async def test_a_server_that_forgot_the_scripts_is_told_again(client: RedisClient) -> None:
    scripts = RedisScripts(client=client)
    await scripts.run([echo("a")])
    await client.script_flush()

    assert await scripts.run([echo("b")]) == [b"b"]


async def test_calls_share_one_connection_while_none_is_under_way(client: RedisClient) -> None:
    scripts = RedisScripts(client=client)
    await scripts.load(ECHO)
    for _ in range(5):
        await scripts.run([echo("a")])
    clients = await client.info("clients")

    assert clients["connected_clients"] == 2  # and the one that loads and asks


async def test_a_connection_that_the_server_closed_is_opened_again(client: RedisClient, server: RedisServer) -> None:
    scripts = RedisScripts(client=client)
    await scripts.run([echo("a")])
    await asyncio.to_thread(server.restart)

    assert await scripts.run([echo("b")]) == [b"b"]


async def test_a_call_that_was_cut_off_leaves_no_reply_to_the_next(client: RedisClient, server: RedisServer) -> None:
    scripts = RedisScripts(client=client)
    await scripts.run([echo("a")])
    server.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await scripts.run([echo("late")])
    server.thaw()

    assert await scripts.run([echo("b")]) == [b"b"]


async def test_however_many_calls_an_outage_cuts_off_the_client_has_connections_left(
    client: RedisClient, server: RedisServer
) -> None:
    scripts = RedisScripts(client=client)
    await scripts.run([echo("a")])
    server.freeze()
    cut_off = [asyncio.wait_for(scripts.run([echo("late")]), 0.1) for _ in range(2 * CONNECTIONS_MAX)]
    assert {type(error) for error in await asyncio.gather(*cut_off, return_exceptions=True)} == {TimeoutError}
    server.thaw()

    assert await client.ping()


async def test_calls_beyond_the_connections_wait_for_one_and_leave_some_to_others(client: RedisClient) -> None:
    scripts = RedisScripts(client=client)
    await scripts.load(ECHO)
    results = await asyncio.gather(*(scripts.run([echo(str(number))]) for number in range(4 * CONNECTIONS_MAX)))

    assert results == [[str(number).encode()] for number in range(4 * CONNECTIONS_MAX)]
    assert await client.ping()


async def test_a_server_that_is_gone_is_an_outage(client: RedisClient, server: RedisServer) -> None:
    scripts = RedisScripts(client=client)
    await scripts.run([echo("a")])
    server.stop()

    with pytest.raises(OUTAGES):
        await scripts.run([echo("b")])
