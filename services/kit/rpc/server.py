"""
The RPC server: every conversation and procedure of one process, on one address.

A service gives its `Conversations` and functions; this is where they meet gRPC, as raw bytes and without generated
stubs. Errors leave as their gRPC status with their own code beside it (`faults.py`). Leaving the block stops
in order: nothing new is accepted, what came is finished, sessions are closed, replies are written, and then the
streams end with a status that sends clients elsewhere.

Hazard: only peers over mutual TLS or a Unix socket are private; stored keys go to no one else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn, Protocol, Self

import grpc
import grpc.aio

from services.kit.errors import NarrowsError, NotReady
from services.kit.rpc.bounds import DEFAULT_BOUNDS, Bounds
from services.kit.rpc.channel import Handler, ServedCall, is_unix, listen, make_server
from services.kit.rpc.faults import message_of, status_of, trailers_of, unforeseen
from services.kit.rpc.link import Conversation, Conversations, In, Out, Peer
from services.kit.rpc.procedure import Answer, Procedure, Question
from services.kit.rpc.served import ServedStream
from services.kit.tls import TlsFiles

STOP_S_MAX = 3.0
"""For streams and calls to finish; what has not by then is cancelled."""

ABORT_S_MAX = 1.0

_log = logging.getLogger(__name__)


class RpcServer:
    """
    Serves from entering to leaving. `address`: `host:port` (port 0: any free one) or `unix:///path`.

    Add everything before entering: what a client asks for that is not there is refused as not implemented.
    """

    def __init__(self, address: str, *, tls: TlsFiles | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._address = address
        self._tls = tls
        self._bounds = bounds
        self._is_private = tls is not None or is_unix(address)
        self._handlers: dict[str, Handler] = {}
        self._streams: set[Stoppable] = set()
        self._is_stopping = False
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """The port it listens on, once entered; 0 for a Unix socket."""

    def add(self, conversation: Conversation[Out, In], conversations: Conversations[Out, In]) -> None:
        """Serve a conversation."""

        async def converse(_requests: object, call: ServedCall) -> None:
            if self._is_stopping:
                await _abort(call, NotReady("the service is stopping"))
            stream = ServedStream(conversation, call, bounds=self._bounds)
            self._streams.add(stream)
            try:
                error = await stream.serve(conversations, Peer(call.peer(), is_private=self._is_private))
            finally:
                self._streams.discard(stream)
            if error is not None:
                await _abort(call, error)

        self._handlers[conversation.method] = _untyped(grpc.stream_stream_rpc_method_handler)(converse)

    def answer(self, procedure: Procedure[Question, Answer], function: Callable[[Question], Awaitable[Answer]]) -> None:
        """Serve a procedure that has one answer."""

        async def answer(request: bytes, call: ServedCall) -> bytes:
            async with _faults(call, procedure.method):
                return procedure.encode_answer(await function(procedure.decode_question(request)))

        self._handlers[procedure.method] = _untyped(grpc.unary_unary_rpc_method_handler)(answer)

    def stream(
        self, procedure: Procedure[Question, Answer], function: Callable[[Question], AsyncGenerator[Answer, None]]
    ) -> None:
        """Serve a procedure that has a stream of answers; its generator is closed when the client leaves."""

        async def stream(request: bytes, call: ServedCall) -> None:
            async with (
                _faults(call, procedure.method),
                aclosing(function(procedure.decode_question(request))) as answers,
            ):
                async for answer in answers:
                    await call.write(procedure.encode_answer(answer))

        self._handlers[procedure.method] = _untyped(grpc.unary_stream_rpc_method_handler)(stream)

    async def __aenter__(self) -> Self:
        self._server = make_server(self._handlers)
        self.port = listen(self._server, self._address, tls=self._tls)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._is_stopping = True
        stopping = asyncio.create_task(self._server.stop(STOP_S_MAX))
        for stream in list(self._streams):
            stream.stop()
        await stopping


class Stoppable(Protocol):
    """A stream of whatever conversation."""

    def stop(self) -> None:
        """Take no more, finish what is here."""
        ...


@asynccontextmanager
async def _faults(call: ServedCall, method: str) -> AsyncIterator[None]:
    """End the call with what was raised inside."""
    try:
        yield
    except NarrowsError as error:
        await _abort(call, error)
    except grpc.aio.BaseError:
        raise
    except Exception:  # noqa: BLE001 - a rim: one failed call must not end the process
        _log.exception("%s failed", method)
        await _abort(call, unforeseen())


async def _abort(call: ServedCall, error: NarrowsError) -> NoReturn:
    """End a stream or call with an error. A client that reads nothing cannot be told, and is not waited for."""
    try:
        async with asyncio.timeout(ABORT_S_MAX):
            await call.abort(status_of(error), message_of(error), trailers_of(error))
    except TimeoutError:
        raise asyncio.CancelledError from None


def _untyped(make_handler: object) -> Any:
    """gRPC's types know handlers only with serializers; its code takes raw bytes without them."""
    return make_handler
