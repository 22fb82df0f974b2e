"""
Local links: a conversation with a service that lives in the same process.

The same sessions, batches, bounds, deadlines and listener calls as over gRPC (tests/contract/test_links.py runs on
both), without a network: items leave at the end of the loop's turn as the very objects they are. One pump task
carries them to the session, and awaiting there is the back-pressure. There is no breaker, because the
loop that would complain of the silence is the loop that would answer.

Hazard: both sides hold the same objects, so values must be frozen.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Generic

from services.kit.clock import Clock
from services.kit.errors import NarrowsError, Overloaded
from services.kit.rpc.backoff import Backoff
from services.kit.rpc.bounds import DEFAULT_BOUNDS, Bounds
from services.kit.rpc.client_link import ClientLink, Traffic
from services.kit.rpc.link import Conversation, Conversations, In, Link, Listener, Out, Peer, QuietLinks, Session
from services.kit.rpc.outbox import Outbox

IN_PROCESS = Peer("local", is_private=True)

FINISH_S_MAX = 1.0
"""For what was sent before closing to reach its session."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def local_links(
    conversation: Conversation[Out, In],
    conversations: Conversations[Out, In],
    listener: Listener[Out, In] | None = None,
    *,
    clock: Clock,
    peer: Peer = IN_PROCESS,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> AsyncIterator[QuietLinks[Out, In]]:
    """
    The links of a conversation held in this process.

    Without a `listener` nothing opens before `listen`. Leaving delivers what was sent, closes the session, and tells
    the listener which keys are lost.
    """
    links = LocalLinks(conversation, conversations, peer=peer, clock=clock, bounds=bounds)
    if listener is not None:
        links.listen(listener)
    try:
        yield links
    finally:
        await links.close()


class LocalLinks(Generic[Out, In]):
    """`QuietLinks` with one replica, `local`. Owns one task from `listen` to `close`."""

    def __init__(
        self,
        conversation: Conversation[Out, In],
        conversations: Conversations[Out, In],
        *,
        peer: Peer,
        clock: Clock,
        bounds: Bounds,
    ) -> None:
        self._conversation = conversation
        self._conversations = conversations
        self._peer = peer
        self._clock = clock
        self._bounds = bounds
        self._link: ClientLink[Out, In] | None = None
        self._running: asyncio.Task[None] | None = None

    def listen(self, listener: Listener[Out, In]) -> None:
        """Open the link and tell this listener."""
        self._link = ClientLink(
            self._conversation,
            listener,
            address="local",
            clock=self._clock,
            # Here a message costs next to nothing, and silence says nothing of a session.
            bounds=replace(self._bounds, leisure_s=0.0, patience_s=math.inf),
            traffic=Traffic(),
            changed=_nobody_asks,
        )
        self._running = asyncio.create_task(self._run(self._link), name=f"local {self._conversation.method}")

    def any(self) -> Link[Out] | None:
        """The one link, while it is up."""
        return self._link if self._link is not None and self._link.is_up else None

    def for_key(self, key: bytes) -> Link[Out] | None:
        """The one link, while it is up."""
        return self.any()

    def all(self) -> Sequence[Link[Out]]:
        """The one link."""
        return () if self._link is None else (self._link,)

    async def close(self) -> None:
        """Deliver what was sent, close the session, tell what is lost."""
        if self._link is None or self._running is None:
            return
        self._link.is_closing = True
        self._link.wake.set()
        if self._link.is_up:
            await asyncio.wait((self._running,), timeout=FINISH_S_MAX)
        self._running.cancel()
        await asyncio.wait((self._running,))
        self._link.close()

    async def _run(self, link: ClientLink[Out, In]) -> None:
        """One session after the other, until the link closes."""
        backoff = Backoff(random=_no_jitter)
        while not link.is_closing:
            opened_at_s = self._clock.monotonic_s()
            try:
                await self._converse(link)
            except NarrowsError as error:
                _log.warning("%s: the session ended: %s", self._conversation.method, error)
            except Exception:  # noqa: BLE001 - a rim: over gRPC the same failure would end the stream and not this process
                _log.exception("%s: the session failed", self._conversation.method)
            link.broke()
            if not link.is_closing:
                await asyncio.sleep(backoff.next_s(stood_s=self._clock.monotonic_s() - opened_at_s))

    async def _converse(self, link: ClientLink[Out, In]) -> None:
        """One session, from its opening to its end."""
        replies = _Replies(link, Outbox(wire=self._conversation.incoming, bounds=self._bounds))
        session = self._conversations.open(self._peer, replies.put)
        try:
            link.stand()
            async with replies.bounded():
                await _pump(link, session)
        finally:
            try:
                await session.close()
            finally:
                replies.end()


async def _pump(link: ClientLink[Out, In], session: Session[Out]) -> None:
    """Carry items to the session, a message at a time, until the link is closing and all are carried."""
    while True:
        while items := link.take():
            await session.receive(items)
        if link.is_closing:
            return
        await link.wake.wait()
        link.wake.clear()


class _Replies(Generic[In]):
    """What one session replies, delivered at the end of the loop's turn."""

    def __init__(self, link: ClientLink[Out, In], outbox: Outbox[In]) -> None:
        self._link = link
        self._outbox = outbox
        self._patience: asyncio.Timeout | None = None
        self._is_due = False
        self._is_over = False

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """End the block with Overloaded as soon as more was replied than may wait."""
        try:
            async with asyncio.timeout(None) as self._patience:
                yield
        except TimeoutError:
            if not self._is_over:
                raise
            raise Overloaded("the session replied more in one turn than may wait; it must await in between") from None
        finally:
            self._patience = None

    def put(self, item: In) -> None:
        if self._is_over:
            return
        if not self._outbox.put(item):
            self._is_over = True
            if self._patience is not None:
                self._patience.reschedule(-math.inf)
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def end(self) -> None:
        """The session is closed: deliver its last words, take no more."""
        self._deliver()
        self._is_over = True

    def _deliver(self) -> None:
        self._is_due = False
        while not self._is_over and (items := self._outbox.take()):
            self._link.deliver(items)


def _no_jitter() -> float:
    """Nobody else comes back in the same moment, so there is nothing to spread."""
    return 0.0


def _nobody_asks() -> None:
    """A link in one process is no dependency: its state is the process's own."""
