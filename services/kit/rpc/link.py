"""
Links: the shape of every conversation between the edge and a service.

All contracts are long bidirectional streams of batches. The client side is a `Link`: items go in without
waiting, items come back to a `Listener`. The service side is a `Conversations`, asked for one `Session` per
stream. A `Conversation` names the RPC and knows how items become bytes. Two implementations drive the
very same sessions: `local.py` in one process, `stream.py` (client) and `server.py` (service) over gRPC.

Hazard: `send` never waits. False means the item was not taken (queue full, stream down, breaker open),
and the caller must go on without an answer. An item that was taken arrives in order and once, or its stream
breaks: then `lost` is told, and what the other side remembers of the stream is gone with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Out = TypeVar("Out")
In = TypeVar("In")
OutSent = TypeVar("OutSent", contravariant=True)
OutOpened = TypeVar("OutOpened", covariant=True)
InGot = TypeVar("InGot", contravariant=True)
InReplied = TypeVar("InReplied", covariant=True)


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

    @property
    def is_standing(self) -> bool:
        """The same session is still at the other end, though the breaker may be open: what was sent still counts."""
        ...

    def send(
        self,
        item: OutSent,
        *,
        key: Hashable | None = None,
        deadline_s: float = math.inf,
        is_urgent: bool = True,
        size_bytes: int = 0,
    ) -> bool:
        """
        Put an item into the next message. Never waits; False if it was not taken.

        One that is not urgent (nobody waits for it) makes no message of its own: it leaves with the next that is, or
        after 5 ms.

        With a `key` the item counts as outstanding until an item comes back that answers the key, or until
        `forget(key)`; `deadline_s` from now (to 10 ms, not counting when this process was too busy to listen) the
        listener hears of it as expired. The same key may be sent again before it is answered: it is one key, with the
        newest deadline.

        `size_bytes` is the wire's estimate where the caller has it at hand; 0: the wire is asked.
        """
        ...

    def forget(self, key: Hashable) -> None:
        """Nobody waits for this key any more."""
        ...


class Listener(Protocol[OutOpened, InGot]):
    """What the client does with what comes back. Called on the loop; must not block or raise."""

    def opened(self, link: Link[OutOpened]) -> None:
        """The stream stands (again), with a new session at its end: say first what the other side must know."""
        ...

    def received(self, link: Link[OutOpened], items: Sequence[InGot]) -> None:
        """Items of one message, in order; also late ones, whose keys have expired or were lost to the breaker."""
        ...

    def expired(self, link: Link[OutOpened], keys: Sequence[Hashable]) -> None:
        """Deadlines that passed. A later answer is still delivered."""
        ...

    def lost(self, link: Link[OutOpened], keys: Sequence[Hashable]) -> None:
        """
        The link is no longer up: its stream broke, its breaker opened, or it was closed.

        Told once each time, also with no keys. These keys will not be answered; a conversation that replays keeps
        its keys and tells none, until the link is closed for good.
        """
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


class QuietLinks(Links[OutSent], Protocol[OutSent, InReplied]):
    """Links whose listener is still to come, because it needs the links itself. Nothing is opened before."""

    def listen(self, listener: Listener[OutSent, InReplied]) -> None:
        """Open the links; from the loop's next turn on the listener is told what happens. Once."""
        ...


class Session(Protocol[InGot]):
    """The service's end of one stream."""

    async def receive(self, items: Sequence[InGot]) -> None:
        """Items of one message, in order. Awaiting here is back-pressure on this one stream."""
        ...

    async def close(self) -> None:
        """The stream has ended, for whatever reason. Called once."""
        ...


class Conversations(Protocol[OutSent, InReplied]):
    """A service's side of one RPC: makes a session for each stream that is opened."""

    def open(self, peer: Peer, reply: Callable[[InReplied], None]) -> Session[OutSent]:
        """`reply` never waits; a peer that does not read is cut off by the transport, which then closes the session."""
        ...


@dataclass(frozen=True, slots=True)
class Wire(Generic[Out]):
    """
    How items of one direction become the bytes of one message and back.

    `probe` is the breaker's echo number, 0 for none; a message may be nothing but a probe. `size_bytes` is a cheap
    estimate from above, asked for every item whose sender does not know it. A message holds at most `items_max` items
    and about 1 MiB, and one item at most 8 MiB less 64 KiB.
    """

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
    traceparents: Callable[[Sequence[Out]], Sequence[str]]
    """Of the sampled requests that an outgoing message is for; the message's own span links to them."""
    replays: bool = False
