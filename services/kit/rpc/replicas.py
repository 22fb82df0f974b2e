"""
Replicas: all instances of a service, one supervised stream to each.

Names are resolved every 3 s. A new address gets a stream at once; one that vanished is no longer chosen, keeps
its stream for 5 s for those who are in the middle of something, and is then closed: within 10 s of the change
everybody is where they belong. A resolver that fails or finds nothing changes nothing, because a name service that is
down says nothing about replicas.

`any` stays with one replica while it is up; which one is drawn per edge, so edges spread. `for_key` asks a
rendezvous hash over all known replicas, up or not: a replica that is down costs only its own share of the keys. The
dependency is reported down while not a single known replica is up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic

from services.kit.clock import Clock
from services.kit.health import Dependencies, DependencyState
from services.kit.names import MetricName
from services.kit.rpc.backoff import Backoff
from services.kit.rpc.bounds import DEFAULT_BOUNDS, Bounds
from services.kit.rpc.channel import open_channel
from services.kit.rpc.client_link import ClientLink, Traffic
from services.kit.rpc.link import Conversation, In, Link, Listener, Out, QuietLinks
from services.kit.rpc.rendezvous import Rendezvous, ranked
from services.kit.rpc.stream import SupervisedStream
from services.kit.rpc.target import Address, Name, Resolve, Target, parse_target, replica_of, resolve
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer
from services.kit.tls import TlsFiles

RESOLVE_EVERY_S = 3.0
DRAIN_S = 5.0
FINISH_S_MAX = 1.0
"""For what was sent before closing to be read by the other side."""

REPLICAS_MAX = 256
"""Streams of one conversation; addresses beyond it are not used."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The process that calls: what all its links share. `random` gives numbers from 0 to below 1."""

    clock: Clock
    random: Callable[[], float]
    dependencies: Dependencies
    tls: TlsFiles | None = None
    tracer: Tracer | None = None
    metrics: Metrics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How the replicas behind a name are found, and how soon those that vanished are left."""

    resolve: Resolve = resolve
    every_s: float = RESOLVE_EVERY_S
    drain_s: float = DRAIN_S


SYSTEM_NAMES = Naming()


@asynccontextmanager
async def replicas(
    conversation: Conversation[Out, In],
    listener: Listener[Out, In] | None = None,
    *,
    target: str,
    caller: Caller,
    naming: Naming = SYSTEM_NAMES,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> AsyncIterator[QuietLinks[Out, In]]:
    """
    The links of a conversation with a service that runs elsewhere.

    Without a `listener` nothing opens before `listen`. Leaving writes what was sent, waits at most a second for the
    other side to take it, and tells the listener which keys are lost.
    """
    links = Replicas(conversation, parse_target(target), caller=caller, naming=naming, bounds=bounds)
    if listener is not None:
        links.listen(listener)
    try:
        yield links
    finally:
        await links.close()


class Replicas(Generic[Out, In]):
    """`QuietLinks` over gRPC. Owns, from `listen` to `close`, a task that follows the names and one per stream."""

    def __init__(
        self,
        conversation: Conversation[Out, In],
        target: Target,
        *,
        caller: Caller,
        naming: Naming = SYSTEM_NAMES,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self._conversation = conversation
        self._target = target
        self._caller = caller
        self._naming = naming
        self._bounds = bounds
        self._salt = int(caller.random() * 2**32).to_bytes(4, "big")
        self._certificates = None if caller.tls is None else caller.tls.current()
        self._listener: Listener[Out, In] | None = None
        self._following: asyncio.Task[None] | None = None
        self._found: dict[Name, tuple[Address, ...]] = {}
        self._unknown: set[Name] = set()
        self._known: dict[str, _Replica[Out, In]] = {}
        self._successors: dict[str, _Replica[Out, In]] = {}
        self._retiring: dict[_Replica[Out, In], asyncio.Task[None]] = {}
        self._ranked: list[ClientLink[Out, In]] = []
        self._rendezvous = Rendezvous(())
        self._chosen: ClientLink[Out, In] | None = None
        self._traffic = Traffic()
        self._is_closing = False
        self._is_seen = False
        """A try has come to an end; before that there is nothing to report."""

    def listen(self, listener: Listener[Out, In]) -> None:
        """Open streams to every known replica and tell this listener."""
        self._listener = listener
        metrics = self._caller.metrics
        if metrics is not None:
            metrics.gauge(MetricName.STREAMS).watch(self._count_streams)
            metrics.counter(MetricName.STREAM_ITEMS).watch(self._count_items)
            metrics.counter(MetricName.STREAM_MESSAGES).watch(self._count_messages)
        self._settle()
        if self._target.names or self._caller.tls is not None:
            self._following = asyncio.create_task(self._follow(), name=f"replicas {self._conversation.method}")

    def any(self) -> Link[Out] | None:
        """One that is up, the same as long as it stays up."""
        chosen = self._chosen
        if chosen is None or not chosen.is_up:
            chosen = self._chosen = next((link for link in self._ranked if link.is_up), None)
        return chosen

    def for_key(self, key: bytes) -> Link[Out] | None:
        """The one that owns the key, if it is up."""
        owner = self._rendezvous.owner(key)
        if owner is None:
            return None
        link = self._known[owner].link
        return link if link.is_up else None

    def all(self) -> Sequence[Link[Out]]:
        """Every known replica, up or not."""
        return self._ranked

    async def close(self) -> None:
        """Write what was sent, end the streams, tell what is lost."""
        self._is_closing = True
        tasks = [*self._retiring.values(), *([] if self._following is None else [self._following])]
        await _cancel(tasks)
        everyone = [*self._known.values(), *self._successors.values(), *self._retiring]
        await asyncio.gather(*(_finish(replica) for replica in everyone))

    async def _follow(self) -> None:
        """Keep up with names and certificates."""
        while True:
            await asyncio.gather(*(self._look_up(name) for name in self._target.names))
            self._settle()
            self._renew()
            await asyncio.sleep(self._naming.every_s)

    async def _look_up(self, name: Name) -> None:
        try:
            found = await self._naming.resolve(name.host, name.port)
        except (OSError, UnicodeError) as error:
            found = ()
            if name not in self._unknown:
                _log.warning("%s does not resolve, keeping the replicas known: %s", name.host, error)
        if found:
            self._unknown.discard(name)
            self._found[name] = tuple(replica_of(name, ip) for ip in found)
        else:
            self._unknown.add(name)
            self._is_seen = True

    def _settle(self) -> None:
        """Start streams to new addresses, retire those of vanished ones."""
        found = [address for addresses in self._found.values() for address in addresses]
        wanted = {address.name: address for address in (*self._target.addresses, *found)[:REPLICAS_MAX]}
        for name in self._known.keys() - wanted.keys():
            self._retire(self._known.pop(name))
            if name in self._successors:
                self._retire(self._successors.pop(name))
        for name in wanted.keys() - self._known.keys():
            self._known[name] = self._start(wanted[name])
        self._rank()
        self._changed()

    def _renew(self) -> None:
        """After a change of certificates, connect anew beside each stream, and swap when the new one is up."""
        if self._caller.tls is None or self._caller.tls.current() is self._certificates:
            return
        self._certificates = self._caller.tls.current()
        for name, replica in self._known.items():
            if name in self._successors:
                self._retire(self._successors.pop(name))
            self._successors[name] = self._start(replica.address)

    def _start(self, address: Address) -> _Replica[Out, In]:
        assert self._listener is not None
        caller = self._caller
        link = ClientLink(
            self._conversation,
            self._listener,
            address=address.name,
            clock=caller.clock,
            bounds=self._bounds,
            traffic=self._traffic,
            changed=self._changed,
        )
        stream = SupervisedStream(
            self._conversation,
            link,
            dial=lambda: open_channel(address, certificates=None if caller.tls is None else caller.tls.current()),
            backoff=Backoff(random=caller.random),
            clock=caller.clock,
            tracer=caller.tracer,
            failed=self._tried_in_vain,
        )
        running = asyncio.create_task(stream.run(), name=f"stream {self._conversation.method} {address.name}")
        return _Replica(address=address, link=link, running=running)

    def _rank(self) -> None:
        """Order the known replicas anew; one that is no longer known is not chosen any more."""
        self._ranked = [self._known[name].link for name in ranked(self._known, salt=self._salt)]
        self._rendezvous = Rendezvous(self._known)
        if self._chosen not in self._ranked:
            self._chosen = None

    def _changed(self) -> None:
        """A link came up or went down: swap in successors that are up, and report."""
        if self._is_closing:
            return
        for name in [name for name, replica in self._successors.items() if replica.link.is_up]:
            self._retire(self._known[name])
            self._known[name] = self._successors.pop(name)
            self._rank()
        is_up = any(link.is_up for link in self._ranked)
        self._is_seen = self._is_seen or is_up
        if self._is_seen:
            state: DependencyState = "up" if is_up else "down"
            self._caller.dependencies.report(self._conversation.dependency, state, by=self)

    def _tried_in_vain(self) -> None:
        self._is_seen = True
        self._changed()

    def _count_streams(self) -> dict[tuple[str, ...], float]:
        return {(self._conversation.dependency,): sum(link.is_up for link in self._ranked)}

    def _count_items(self) -> dict[tuple[str, ...], float]:
        traffic = {"sent": self._traffic.sent, "received": self._traffic.received, "dropped": self._traffic.dropped}
        return {(self._conversation.dependency, outcome): count for outcome, count in traffic.items()}

    def _count_messages(self) -> dict[tuple[str, ...], float]:
        traffic = {"sent": self._traffic.messages_sent, "received": self._traffic.messages_received}
        return {(self._conversation.dependency, outcome): count for outcome, count in traffic.items()}

    def _retire(self, replica: _Replica[Out, In]) -> None:
        self._retiring[replica] = asyncio.create_task(self._drain(replica), name=f"drain {replica.address.name}")

    async def _drain(self, replica: _Replica[Out, In]) -> None:
        """Let those in the middle of something end it, then close."""
        if replica.link.is_up:
            await asyncio.sleep(self._naming.drain_s)
        await _finish(replica)
        del self._retiring[replica]


@dataclass(eq=False, slots=True)
class _Replica(Generic[Out, In]):
    """One replica's link and the task that keeps it standing."""

    address: Address
    link: ClientLink[Out, In]
    running: asyncio.Task[None]


async def _finish(replica: _Replica[Out, In]) -> None:
    """Let the stream write what was sent and end properly, for a moment; then end it."""
    replica.link.is_closing = True
    replica.link.wake.set()
    if replica.link.is_up:
        await asyncio.wait((replica.running,), timeout=FINISH_S_MAX)
    await _cancel([replica.running])


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
