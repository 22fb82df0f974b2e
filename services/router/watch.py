"""
Watch: every edge gets what is live, as soon as it can take it.

Per stream one update is under way at a time; what is published meanwhile leaves as one difference once the edge has
acknowledged, so a slow edge costs nothing and skips what it has missed. An edge that rejects a difference gets the
whole; one that rejects the whole waits for the next release. Stored keys go before the update they belong to, and only
to a private peer: in process, over a Unix socket or over mutual TLS.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from services.contracts.router.snapshot import Content, Release, difference, key_parts_of, parts_of
from services.contracts.router.values import Ack, StoredKey, StoredKeys, WatchItem
from services.kit.errors import NotReady
from services.kit.rpc.link import Peer

KNOWN_CONTENTS_MAX = 8
"""Releases of the past that an edge may come back with and get a difference to."""

_log = logging.getLogger(__name__)

Reply = Callable[[WatchItem], None]


class Watching:
    """The streams of all edges, and the release they are to have."""

    def __init__(self) -> None:
        self.release: Release | None = None
        self.keys: tuple[StoredKey, ...] = ()
        self._known: OrderedDict[str, Content] = OrderedDict()
        self._sessions: set[WatchSession] = set()
        self._is_withholding_told = False

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, peer: Peer, reply: Reply) -> WatchSession:
        """A stream of one edge."""
        session = WatchSession(self, peer, reply)
        self._sessions.add(session)
        return session

    def publish(self, release: Release, keys: tuple[StoredKey, ...]) -> None:
        """From now on this is live."""
        self.release = release
        self.keys = keys
        self._known[release.version] = release.content
        self._known.move_to_end(release.version)
        if len(self._known) > KNOWN_CONTENTS_MAX:
            self._known.popitem(last=False)
        for session in tuple(self._sessions):
            session.follow()

    def content(self, version: str) -> Content | None:
        """What an edge with that version holds, if it is still known here."""
        return self._known.get(version)

    def closed(self, session: WatchSession) -> None:
        """The stream has ended."""
        self._sessions.discard(session)

    def tell_withheld(self, peer: Peer) -> None:
        """Once for the life of the router; the edges say so on their side too."""
        if not self._is_withholding_told:
            self._is_withholding_told = True
            _log.warning("stored keys are withheld from %s: its stream is neither local nor mutual TLS", peer.name)


class PublishedWatching:
    """
    The same, once there is a release.

    An edge follows one router of several for as long as its stream stands. One that has nothing to say yet lets none
    stand, so that edges follow another.
    """

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    def open(self, peer: Peer, reply: Reply) -> WatchSession:
        """A stream of one edge. Raises NotReady before the first release."""
        if self._watching.release is None:
            raise NotReady("no resources could be read yet")
        return self._watching.open(peer, reply)


class WatchSession:
    """One edge. `held` is what it has acknowledged."""

    def __init__(self, watching: Watching, peer: Peer, reply: Reply) -> None:
        self._watching = watching
        self._peer = peer
        self._reply = reply
        self._edge = ""
        self._held: Content | None = None
        self._under_way: Release | None = None
        self._told: Release | None = None
        self._told_keys: tuple[StoredKey, ...] | None = None

    async def receive(self, items: Sequence[Ack]) -> None:
        """The first ack of a stream says what the edge holds, the others what became of an update."""
        for ack in items:
            if not self._edge:
                self._edge = ack.edge
                self._held = self._watching.content(ack.version)
            elif self._under_way is not None and ack.version == self._under_way.version:
                self._answered(ack, self._under_way)
            self.follow()

    async def close(self) -> None:
        """The edge is gone."""
        self._watching.closed(self)

    def follow(self) -> None:
        """Send what is live, unless the edge has not introduced itself, has it, or is still busy with an update."""
        release = self._watching.release
        if release is None or not self._edge or self._under_way is not None:
            return
        if release is self._told and self._watching.keys == self._told_keys:
            return
        self._send(release)

    def _send(self, release: Release) -> None:
        self._send_keys(release.version)
        for part in parts_of(difference(self._held, release)):
            self._reply(part)
        self._under_way = self._told = release

    def _send_keys(self, version: str) -> None:
        keys = self._watching.keys
        if keys == self._told_keys:
            return
        self._told_keys = keys
        is_withheld = bool(keys) and not self._peer.is_private
        if is_withheld:
            self._watching.tell_withheld(self._peer)
        for part in key_parts_of(StoredKeys(version, () if is_withheld else keys, is_withheld)):
            self._reply(part)

    def _answered(self, ack: Ack, release: Release) -> None:
        self._under_way = None
        if ack.is_accepted:
            self._held = release.content
            return
        _log.warning("%s rejects version %s: %s", ack.edge, ack.version, ack.reason)
        if self._held is not None:
            # A difference did not lead where it should: begin anew, with everything.
            self._held = self._told = self._told_keys = None
