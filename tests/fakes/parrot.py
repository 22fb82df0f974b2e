"""
A service for tests of the RPC kit: a parrot that says back what it hears, unless told otherwise.

An item is (number, word, payload) and answers the item of the same number. Words with an effect: `hush` is not
answered, `refuse` ends the session with an error of ours, `fail` with one nobody foresaw, `flood` is answered with
more than a stream may hold. While `gate` is closed a session receives nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence

import msgspec

from services.kit.errors import LimitExceeded
from services.kit.rpc.link import Conversation, Peer, Wire

Said = tuple[int, str, bytes]

METHOD = "/narrows.test.v1.Parrot/Talk"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[list[Said], int])


def _encode(items: Sequence[Said], probe: int) -> bytes:
    return _encoder.encode((items, probe))


def _size_bytes(item: Said) -> int:
    return 24 + len(item[1]) + len(item[2])


WIRE: Wire[Said] = Wire(encode=_encode, decode=_decoder.decode, size_bytes=_size_bytes, items_max=1024)


def _number(item: Said) -> Hashable | None:
    return item[0] or None


def _traceparents(items: Sequence[Said]) -> Sequence[str]:
    return [item[2].decode() for item in items if item[1] == "sampled"]


def conversation(*, replays: bool = False) -> Conversation[Said, Said]:
    """How one talks to a parrot. Item 0 answers nothing."""
    return Conversation(
        dependency="parrot",
        method=METHOD,
        outgoing=WIRE,
        incoming=WIRE,
        answers=_number,
        traceparents=_traceparents,
        replays=replays,
    )


class Parrot:
    """The service: its sessions, in the order they were opened."""

    def __init__(self) -> None:
        self.sessions: list[ParrotSession] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def open(self, peer: Peer, reply: Callable[[Said], None]) -> ParrotSession:
        session = ParrotSession(peer, reply, self.gate)
        self.sessions.append(session)
        return session

    @property
    def heard(self) -> list[Said]:
        """Every item of every session, in order."""
        return [item for session in self.sessions for batch in session.batches for item in batch]


class ParrotSession:
    """One stream's end. `batches` are the items as they came."""

    def __init__(self, peer: Peer, reply: Callable[[Said], None], gate: asyncio.Event) -> None:
        self.peer = peer
        self.reply = reply
        self.batches: list[list[Said]] = []
        self.closed = 0
        self._gate = gate

    async def receive(self, items: Sequence[Said]) -> None:
        await self._gate.wait()
        self.batches.append(list(items))
        for item in items:
            self._answer(item)

    async def close(self) -> None:
        self.closed += 1

    def _answer(self, item: Said) -> None:
        match item[1]:
            case "hush":
                return
            case "refuse":
                raise LimitExceeded("enough said", retry_after_s=2.5)
            case "fail":
                raise ZeroDivisionError("the secret is 42")
            case "flood":
                for _ in range(2_000):
                    self.reply((0, "flood", b"x" * 65_536))
            case _:
                self.reply(item)
