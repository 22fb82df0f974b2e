"""
A served stream: one client's conversation with a service, on the service's side.

Three tasks, so that none waits for another: one reads, and has probes echoed at once; one brings items to the
session; one writes replies, all that gathered during a turn of the loop in one message. A probe's echo says that this
process' loop lives, and nothing else: a store that does not answer is told in items.

However the stream ends (the client leaves, the session raises, the server stops, replies are not read), the
session is closed once, after its last `receive` is over. Hazard: a client that does not read cannot be waited for. What
waits for it is bounded, and beyond the bound its stream is cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Generic

import grpc.aio

from services.kit.errors import Malformed, NarrowsError, NotReady, Overloaded
from services.kit.rpc.bounds import Bounds
from services.kit.rpc.channel import ServedCall
from services.kit.rpc.faults import unforeseen
from services.kit.rpc.inbox import Inbox
from services.kit.rpc.link import Conversation, Conversations, In, Out, Peer, Session
from services.kit.rpc.outbox import Outbox

LAST_WORDS_S_MAX = 1.0
"""For replies that were made before the stream ended to be written."""

_log = logging.getLogger(__name__)


class ServedStream(Generic[Out, In]):
    """One stream from its opening to its end."""

    def __init__(self, conversation: Conversation[Out, In], context: ServedCall, *, bounds: Bounds) -> None:
        self._conversation = conversation
        self._context = context
        self._inbox: Inbox[Out] = Inbox(items_max=conversation.outgoing.items_max)
        self._replies = Outbox(wire=conversation.incoming, bounds=bounds)
        self._wake = asyncio.Event()
        self._ended: asyncio.Future[NarrowsError | None] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None
        self._probe = 0
        self._is_deaf = False
        self._is_finishing = False
        self._is_stopping = False

    async def serve(self, conversations: Conversations[Out, In], peer: Peer) -> NarrowsError | None:
        """Converse until the end; what the stream ended with, None when the client was done."""
        try:
            session = conversations.open(peer, self.reply)
        except NarrowsError as error:
            return error
        except Exception:  # noqa: BLE001 - a rim: one stream that cannot be served must not end the process
            _log.exception("%s: no session could be opened", self._conversation.method)
            return unforeseen()
        self._reading = asyncio.create_task(self._read())
        working = asyncio.create_task(self._work(session))
        writing = asyncio.create_task(self._write())
        try:
            return await self._ended
        finally:
            await self._wind_up(session, working, writing)

    def reply(self, item: In) -> None:
        """Put an item into the next message. Never waits; nothing is taken once the session is closed."""
        if self._is_finishing or self._is_deaf:
            return
        if self._replies.put(item):
            self._wake.set()
        else:
            self._is_deaf = True
            self._end(Overloaded("replies are not read, or one is bigger than a message may be"))

    def stop(self) -> None:
        """The server stops: take no more, finish what is here."""
        self._is_stopping = True
        if self._reading is not None:
            self._reading.cancel()
        self._inbox.end()

    def _end(self, error: NarrowsError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    async def _read(self) -> None:
        try:
            while isinstance(message := await self._context.read(), bytes):
                items, probe = self._decode(message)
                if probe:
                    self._probe = probe
                    self._wake.set()
                if items:
                    await self._inbox.put(items, len(message))
            self._inbox.end()
        except Malformed as error:
            self._end(error)
        except grpc.aio.BaseError:
            self._end(None)

    def _decode(self, message: bytes) -> tuple[Sequence[Out], int]:
        try:
            return self._conversation.outgoing.decode(message)
        except Exception as error:
            raise Malformed(f"{self._conversation.method}: a message could not be read: {error}") from error

    async def _work(self, session: Session[Out]) -> None:
        try:
            while items := await self._inbox.take():
                await session.receive(items)
            self._end(NotReady("the service is stopping") if self._is_stopping else None)
        except NarrowsError as error:
            self._end(error)
        except Exception:  # noqa: BLE001 - a rim: one failed session must not end the process
            _log.exception("%s: the session failed", self._conversation.method)
            self._end(unforeseen())

    async def _write(self) -> None:
        encode = self._conversation.incoming.encode
        try:
            # Accepting is this task's too: gRPC sends the head again if a message overtakes it.
            await self._context.send_initial_metadata(())
            while True:
                while (items := self._replies.take()) or self._probe:
                    probe, self._probe = self._probe, 0
                    await self._context.write(encode(items, probe))
                if self._is_finishing:
                    return
                await self._wake.wait()
                self._wake.clear()
        except grpc.aio.BaseError:
            self._end(None)
        except Exception:  # noqa: BLE001 - a rim: a reply that has no encoding ends its stream, not the process
            _log.exception("%s: a reply could not be written", self._conversation.method)
            self._end(unforeseen())

    async def _wind_up(self, session: Session[Out], working: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Close the session when nobody uses it any more, and write its last words if there is still a reader."""
        try:
            await _cancel(self._reading, working)
        finally:
            try:
                await self._close(session)
                self._is_finishing = True
                self._wake.set()
                if self._ended.done() and not self._is_deaf:
                    await asyncio.wait((writing,), timeout=LAST_WORDS_S_MAX)
            finally:
                await _cancel(writing)

    async def _close(self, session: Session[Out]) -> None:
        try:
            await session.close()
        except Exception:  # noqa: BLE001 - a rim: the stream has ended already, there is nobody to tell
            _log.exception("%s: the session failed to close", self._conversation.method)


async def _cancel(*tasks: asyncio.Task[None] | None) -> None:
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.wait(running)
