"""
Watching: the edge's side of Watch.

Of all replicas of the router one is followed, the same as long as its stream stands; the streams to the others stay
silent until they are needed, since an edge speaks first. An update that cannot be taken is rejected with its reason and
changes nothing. The acknowledgement leaves after the change, so acknowledged means that new requests use it.

At the start the copy on disk is only held: it tells the router what to send a difference to. It goes live when no
router has answered within a moment, or when the router turns out to be behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence

import msgspec

from services.contracts.router.snapshot import joined
from services.contracts.router.values import Ack, SnapshotUpdate, StoredKey, StoredKeys, WatchItem
from services.edge.configuration.live import Live, updated, with_keys
from services.kit.errors import SnapshotRefused
from services.kit.names import MetricName
from services.kit.rpc.link import Link, Links
from services.kit.telemetry.metrics import Metrics

PARTS_MAX = 1_024
"""Messages that one update or one set of keys may come in: a gigabyte."""

_log = logging.getLogger(__name__)


class Watching:
    """Listens to Watch. `live` is read by every request and written by nobody else."""

    def __init__(
        self,
        *,
        edge: str,
        links: Links[Ack],
        held: Live | None,
        changed: Callable[[Live], None],
        metrics: Metrics,
    ) -> None:
        self.live: Live | None = None
        self._edge = edge
        self._links = links
        self._held = held
        self._changed = changed
        self._taken = metrics.counter(MetricName.SNAPSHOTS)
        self._followed: Link[Ack] | None = None
        self._parts: list[SnapshotUpdate] = []
        self._key_parts: list[StoredKeys] = []
        self._keys: StoredKeys | None = None

    def adopt(self) -> None:
        """No router has answered: what is held from the copy on disk goes live."""
        if self.live is None and self._held is not None:
            _log.warning("no router has answered; version %s of the copy on disk is live", self._held.version)
            self._go_live(self._held)

    def opened(self, link: Link[Ack]) -> None:
        """Follow it, unless another one is followed already."""
        self._follow()

    def received(self, link: Link[Ack], items: Sequence[WatchItem]) -> None:
        """Take what came, part by part."""
        if link is not self._followed:
            return
        for item in items:
            if isinstance(item, StoredKeys):
                self._collect_keys(item)
            else:
                self._collect(item)

    def expired(self, link: Link[Ack], keys: Sequence[Hashable]) -> None:
        """Nothing here has a deadline."""

    def lost(self, link: Link[Ack], keys: Sequence[Hashable]) -> None:
        """If it was the one that is followed, follow another."""
        if link is self._followed:
            self._followed = None
            self._follow()

    def _follow(self) -> None:
        link = self._links.any()
        if self._followed is not None or link is None:
            return
        self._parts, self._key_parts, self._keys = [], [], None
        base = self.live or self._held
        if link.send(Ack(self._edge, "" if base is None else base.version, is_accepted=True)):
            self._followed = link

    def _collect(self, part: SnapshotUpdate) -> None:
        if self._parts and self._parts[0].version != part.version:
            self._parts = []
        self._parts.append(part)
        if len(self._parts) > PARTS_MAX:
            self._parts = []
            self._reject(part.version, f"came in more than {PARTS_MAX} messages")
        elif not part.has_more:
            update, self._parts = joined(self._parts), []
            self._take(update)

    def _collect_keys(self, part: StoredKeys) -> None:
        if self._key_parts and self._key_parts[0].version != part.version:
            self._key_parts = []
        self._key_parts = [*self._key_parts[-PARTS_MAX:], part]
        if part.has_more:
            return
        keys: list[StoredKey] = [key for known in self._key_parts for key in known.keys]
        self._keys = msgspec.structs.replace(part, keys=tuple(keys))
        self._key_parts = []
        if self.live is not None and self.live.version == part.version:
            self._go_live(with_keys(self.live, self._keys))
            self._keys = None

    def _take(self, update: SnapshotUpdate) -> None:
        keys = self._keys if self._keys is not None and self._keys.version == update.version else None
        try:
            live = updated(self.live or self._held, update, keys)
        except SnapshotRefused as error:
            self._reject(update.version, error.message)
            return
        self._keys = None
        if live.are_keys_withheld and not (self.live and self.live.are_keys_withheld):
            _log.warning("the router withholds stored keys from this edge; requests that need one answer 503")
        self._go_live(live)
        self._taken.add(("accepted",))
        self._answer(Ack(self._edge, update.version, is_accepted=True))

    def _reject(self, version: str, reason: str) -> None:
        _log.warning("version %s is rejected: %s", version, reason)
        self._taken.add(("rejected",))
        self._answer(Ack(self._edge, version, is_accepted=False, reason=reason))
        if self.live is None and self._held is not None:
            self._go_live(self._held)

    def _answer(self, ack: Ack) -> None:
        if self._followed is not None:
            self._followed.send(ack)

    def _go_live(self, live: Live) -> None:
        self.live = live
        self._changed(live)
