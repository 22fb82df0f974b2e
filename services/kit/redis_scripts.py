"""
Redis scripts: many calls of Lua scripts in one write, their replies in one read.

A call costs its arguments and little else: connections are taken from the client's pool and some of them kept,
commands are packed and replies parsed in C, and no call has a timer or a task of its own. Scripts are called by hash;
a server that does not know one, as after a restart or a failover, is told its text and asked again.

Hazard: nothing here has a deadline. Whoever calls stands behind a `Breaker`, and its deadline is the only one. A call
that is cut off closes its connection, because what it asked is still to come on it, and leaves it to the pool: a probe
needs one, and would find none for ever if an outage could make all of them ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool, RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from services.kit.redis import RedisClient

IDLE_MAX = 16
"""Connections kept between calls: half of the pool's, the others are for whoever else uses the client."""

Argument = bytes | str | int

_pack = cast("Callable[[tuple[Argument, ...]], bytes]", pack_command)  # its types know commands of one word only


@dataclass(frozen=True, slots=True)
class Script:
    """Lua that runs inside Redis, and the hash it is called by."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


ScriptCall = tuple[Script, Sequence[str], Sequence[Argument]]
"""A script, its keys, its arguments."""


class RedisScripts:
    """Runs scripts through a client, whose bound on connections holds here as well."""

    def __init__(self, *, client: RedisClient) -> None:
        self._client = client
        self._pool = None if isinstance(client, RedisCluster) else client.connection_pool
        self._idle: list[Connection] = []
        self._takers = 0
        """Calls that want a connection of the pool's."""

    async def run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """
        What each call came to, in order; the server's refusals of single calls stand among the results as errors.

        Raises the client's errors when the server is out of reach.
        """
        results = await self._run(calls)
        unknown = [index for index, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            await self.load(*{calls[index][0] for index in unknown})
            for index, result in zip(unknown, await self._run([calls[index] for index in unknown]), strict=True):
                results[index] = result
        return results

    async def load(self, *scripts: Script) -> None:
        """Tell the server these scripts; every server of a cluster."""
        for script in scripts:
            await self._client.script_load(script.text)

    async def _run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        commands = [("EVALSHA", script.sha, len(keys), *keys, *arguments) for script, keys, arguments in calls]
        if self._pool is None:
            return await _run_on_nodes(self._client, commands)
        connection = await self._take(self._pool)
        try:
            await connection.send_packed_command([b"".join(map(_pack, commands))])
            results = [await _reply(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)
            await _leave(self._pool, connection)
            raise
        if len(self._idle) < IDLE_MAX and not self._takers:
            self._idle.append(connection)
        else:
            await _leave(self._pool, connection)
        return results

    async def _take(self, pool: ConnectionPool) -> Connection:
        """A connection that is ready: one that was used before, or one more from the pool."""
        if not self._idle:
            self._takers += 1
            try:
                connection: Connection = await pool.get_connection()  # type: ignore[no-untyped-call]
            finally:
                self._takers -= 1
            connection.socket_timeout = None  # a timer, and for each write a task, are what the breaker saves us
            return connection
        connection = self._idle.pop()
        if connection.is_connected and not await connection.can_read():
            return connection
        try:  # the server has closed it
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]  # here and above: the gap is the library's
        except BaseException:
            await _leave(pool, connection)
            raise
        return connection


async def _leave(pool: ConnectionPool, connection: Connection) -> None:
    """To the pool, as it was when it came from there."""
    connection.socket_timeout = pool.connection_kwargs.get("socket_timeout")
    await pool.release(connection)


async def _reply(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal


async def _run_on_nodes(client: RedisClient, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
    """In a cluster the library finds each command's node."""
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    results: list[Any] = await pipeline.execute(raise_on_error=False)
    return results
