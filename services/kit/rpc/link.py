"""
Links: the shape of every conversation between the edge and a service.

All contracts are long bidirectional streams of batches. The client side is a `Link`: items go in without
waiting, items come back to a `Listener`. The service side is a `Conversations`, asked for one `Session` per
stream. A `Conversation` names the RPC and knows how items become bytes. Two implementations drive the
very same sessions: `local.py` in one process, `stream.py` (client) and `server.py` (service) over gRPC.

Hazard: `send` never waits. False means the item was not taken (queue full, stream down, breaker open),
and the caller must go on without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Out = TypeVar("Out")
In = TypeVar("In")
OutSent = TypeVar("OutSent", contravariant=True)
InGot = TypeVar("InGot", contravariant=True)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is on the other side of a stream. `is_private`: in process, over a Unix socket or over mutual TLS."""

    name: str
    is_private: bool


class Link(Protocol[OutSent]):
    """The client's end of one conversation with one replica."""

    @property
    def address(self) -> str:
        """Which replica; `local` in one process."""
        ...

    @property
    def is_up(self) -> bool:
        """The stream stands and the breaker is closed."""
        ...

    def send(self, item: OutSent, *, key: Hashable | None = None, deadline_s: float | None = None) -> bool:
        """
        Put an item into the next message. Never waits; False if it was not taken.

        With a `key` the item counts as outstanding until an item comes back that answers the key, or until
        `forget(key)`; after `deadline_s` the listener hears of it as expired.
        """
        ...

    def forget(self, key: Hashable) -> None:
        """Nobody waits for this key any more."""
        ...


class Listener(Protocol[OutSent, InGot]):
    """What the client does with what comes back. Called on the loop; must not block or raise."""

    def opened(self, link: Link[OutSent]) -> None:
        """The stream stands (again): say first what the other side must know."""
        ...

    def received(self, link: Link[OutSent], items: Sequence[InGot]) -> None:
        """Items of one message, in order."""
        ...

    def expired(self, link: Link[OutSent], keys: Sequence[Hashable]) -> None:
        """Deadlines that passed. A later answer is still delivered."""
        ...

    def lost(self, link: Link[OutSent], keys: Sequence[Hashable]) -> None:
        """The stream broke or its breaker opened; these keys will not be answered (unless replayed)."""
        ...


class Links(Protocol[OutSent]):
    """All replicas of one service, as a client sees them."""

    def any(self) -> Link[OutSent] | None:
        """One that is up, the same as long as it stays up; None when none is."""
        ...

    def for_key(self, key: bytes) -> Link[OutSent] | None:
        """The one that owns the key by rendezvous hash over all known replicas; None when that one is not up."""
        ...

    def all(self) -> Sequence[Link[OutSent]]:
        """Every known replica, up or not."""
        ...


class Session(Protocol[InGot]):
    """The service's end of one stream."""

    async def receive(self, items: Sequence[InGot]) -> None:
        """Items of one message, in order. Awaiting here is back-pressure on this one stream."""
        ...

    async def close(self) -> None:
        """The stream has ended, for whatever reason. Called once."""
        ...


class Conversations(Protocol[Out, In]):
    """A service's side of one RPC: makes a session for each stream that is opened."""

    def open(self, peer: Peer, reply: Callable[[In], None]) -> Session[Out]:
        """`reply` never waits; a peer that does not read is cut off by the transport, which then closes the session."""
        ...


@dataclass(frozen=True, slots=True)
class Wire(Generic[Out]):
    """How items of one direction become the bytes of one message and back. `probe` is the breaker's echo number, 0 for none."""

    encode: Callable[[Sequence[Out], int], bytes]
    decode: Callable[[bytes], tuple[Sequence[Out], int]]
    size_bytes: Callable[[Out], int]
    items_max: int = 1024


@dataclass(frozen=True, slots=True)
class Conversation(Generic[Out, In]):
    """
    One RPC as data.

    `answers` gives the key that an incoming item settles, or None. With `replays`, outstanding items are sent
    again, in order, when the stream is up again; without, their keys are handed to `Listener.lost`.
    """

    dependency: str
    method: str
    outgoing: Wire[Out]
    incoming: Wire[In]
    answers: Callable[[In], Hashable | None]
    traceparents: Callable[[Out], Sequence[str]]
    """Of the sampled requests an outgoing item is for; the message's own span links to them."""
    replays: bool = False
