"""
Sender: carries batches from the journal to analytics, in order, and hears which ones the store has.

At most a window of batches is in memory, however long the journal is; the next one is read when an acknowledgement
makes room. The link replays what it was given when its stream stands again, so a batch is sent once per replica. When a
replica stays away and another one is up, its batches move there: the store tells a batch that it has by its id.

Hazard: the window keeps batches whose segment was dropped meanwhile; they may still arrive, and then are not lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from services.contracts.analytics.conversation import batch_key
from services.contracts.analytics.values import Ack, EdgeStatus, EventBatch, IngestItem
from services.edge.spool.journal import Journal, Taken
from services.kit.clock import Clock
from services.kit.rpc.link import Link, QuietLinks

WINDOW_BATCHES = 16
WINDOW_BYTES = 8 * 1_048_576

STATUS_EVERY_S = 1.0
MOVE_AFTER_S = 2.0
"""How long a replica may be away before its batches go to another one; a short break costs only a replay."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outgoing:
    """A batch of the window, and the link that has it."""

    taken: Taken
    link: Link[IngestItem] | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.taken.batch.rows) + len(self.taken.batch.bodies)


class Sender:
    """A `Listener` of the Ingest links. `run` and `tell` are its two loops; the spool owns their tasks."""

    def __init__(
        self,
        *,
        journal: Journal,
        links: QuietLinks[IngestItem, Ack],
        edge: str,
        status: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._links = links
        self._edge = edge
        self._status = status
        self._clock = clock
        self._window: dict[Hashable, _Outgoing] = {}
        self._window_bytes = 0
        self._away_since_s: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def lag_s(self) -> float:
        """Age of the oldest batch that the store does not have yet; 0 when it has all."""
        oldest = next(iter(self._window.values()), None)
        return 0.0 if oldest is None else max(0.0, self._clock.wall_s() - oldest.taken.opened_at_s)

    def nudge(self) -> None:
        """A batch was closed."""
        self._wake.set()

    async def settled(self) -> None:
        """Returns when every closed batch is acknowledged."""
        while self._window or not self._journal.is_settled:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._fill_window()
            self._move_from_absent()
            self._send_window()
            self._progress.set()
            await self._wake.wait()
            self._wake.clear()

    async def tell(self) -> None:
        """Once a second each replica hears how this edge is, and what could not be sent is tried again."""
        while True:
            status = EdgeStatus(edge=self._edge, status=self._status())
            for link in self._links.all():
                if link.is_up:
                    link.send(status)
            self._wake.set()
            await asyncio.sleep(STATUS_EVERY_S)

    def opened(self, link: Link[IngestItem]) -> None:
        """Something can be sent."""
        self._wake.set()

    def received(self, link: Link[IngestItem], items: Sequence[Ack]) -> None:
        """The store has these."""
        for ack in items:
            outgoing = self._window.pop(batch_key(ack), None)
            if outgoing is not None:
                self._window_bytes -= outgoing.size_bytes
                self._journal.acknowledge(outgoing.taken)
        self._wake.set()
        self._progress.set()

    def expired(self, link: Link[IngestItem], keys: Sequence[Hashable]) -> None:
        """A batch has no deadline."""

    def lost(self, link: Link[IngestItem], keys: Sequence[Hashable]) -> None:
        """Keys come only from a link that is closed for good: another one must take their batches."""
        for key in keys:
            if key in self._window:
                self._window[key].link = None
        self._wake.set()

    async def _fill_window(self) -> None:
        while len(self._window) < WINDOW_BATCHES and self._window_bytes < WINDOW_BYTES:
            taken = await self._journal.read_next()
            if taken is None:
                return
            outgoing = _Outgoing(taken)
            self._window[batch_key(taken.batch)] = outgoing
            self._window_bytes += outgoing.size_bytes

    def _send_window(self) -> None:
        """In order: what is not taken stops those behind it."""
        link = self._links.any()
        if link is None:
            return
        for key, outgoing in self._window.items():
            if outgoing.link is None:
                batch: EventBatch = outgoing.taken.batch
                if not link.send(batch, key=key):
                    return
                outgoing.link = link

    def _move_from_absent(self) -> None:
        """Take batches back from replicas that stay away, if there is another one to give them to."""
        if self._links.any() is None:
            return
        for key, outgoing in self._window.items():
            if outgoing.link is not None and self._is_absent(outgoing.link):
                outgoing.link.forget(key)
                outgoing.link = None

    def _is_absent(self, link: Link[IngestItem]) -> bool:
        if link.is_standing:
            self._away_since_s.pop(link.address, None)
            return False
        now_s = self._clock.monotonic_s()
        return now_s - self._away_since_s.setdefault(link.address, now_s) >= MOVE_AFTER_S
