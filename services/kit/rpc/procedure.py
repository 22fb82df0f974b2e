"""
Procedures: the few RPCs that are no conversation. One question and one answer, or one question and a stream of them.

A `Procedure` is the RPC as data, as `Conversation` is for streams; the server is given a function for it
(`server.py`), a client asks through `RemoteProcedures`. Errors cross as themselves. Each call has a channel of its own,
so there is nothing to keep alive, to renew or to close in between. Hazard: such a call costs hundreds of times what
an item of a conversation does; it is for people's questions, never for the data path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc.aio

from services.kit.errors import DependencyUnavailable
from services.kit.rpc.channel import call_for_many, call_once, open_channel
from services.kit.rpc.faults import error_of
from services.kit.rpc.target import Address, Resolve, parse_target, replica_of, resolve
from services.kit.tls import TlsFiles

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Procedure(Generic[Question, Answer]):
    """One RPC: whose it is, where it is, and how its values become bytes and back."""

    dependency: str
    method: str
    encode_question: Callable[[Question], bytes]
    decode_question: Callable[[bytes], Question]
    encode_answer: Callable[[Answer], bytes]
    decode_answer: Callable[[bytes], Answer]


class RemoteProcedures:
    """Asks the replicas of one service, one after the other until one can be reached. Holds nothing open."""

    def __init__(self, *, target: str, tls: TlsFiles | None = None, resolve: Resolve = resolve) -> None:
        self._target = parse_target(target)
        self._tls = tls
        self._resolve = resolve

    async def ask(self, procedure: Procedure[Question, Answer], question: Question, *, deadline_s: float) -> Answer:
        """The answer. Raises what the service raised, or DependencyUnavailable when none answers in time."""
        failure = DependencyUnavailable(f"{procedure.dependency} has no replica")
        try:
            async with asyncio.timeout(deadline_s):
                for address in await self._addresses():
                    try:
                        return await self._ask(address, procedure, question)
                    except DependencyUnavailable as error:
                        failure = error
        except TimeoutError:
            failure = DependencyUnavailable(f"{procedure.dependency} did not answer within {deadline_s:g} s")
        raise failure

    async def follow(self, procedure: Procedure[Question, Answer], question: Question) -> AsyncGenerator[Answer, None]:
        """Answers as they come, from the first replica; ends when the service ends it, raises what it raised."""
        for address in (await self._addresses())[:1]:
            async with self._channel(address) as channel:
                answers = call_for_many(channel, procedure.method, procedure.encode_question(question))
                try:
                    async for answer in answers:
                        yield procedure.decode_answer(answer)
                except grpc.aio.AioRpcError as failure:
                    raise error_of(failure, dependency=procedure.dependency) from failure

    async def _ask(self, address: Address, procedure: Procedure[Question, Answer], question: Question) -> Answer:
        async with self._channel(address) as channel:
            try:
                answer = await call_once(channel, procedure.method, procedure.encode_question(question))
            except grpc.aio.AioRpcError as failure:
                raise error_of(failure, dependency=procedure.dependency) from failure
            return procedure.decode_answer(answer)

    async def _addresses(self) -> list[Address]:
        addresses = list(self._target.addresses)
        for name in self._target.names:
            try:
                addresses.extend(replica_of(name, ip) for ip in await self._resolve(name.host, name.port))
            except (OSError, UnicodeError) as error:
                if not addresses:
                    raise DependencyUnavailable(f"{name.host} does not resolve: {error}") from error
        return addresses

    def _channel(self, address: Address) -> grpc.aio.Channel:
        return open_channel(address, certificates=None if self._tls is None else self._tls.current())
