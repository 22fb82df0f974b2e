"""Overhearing: everything that an edge and the services behind it say to each other, written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from services.kit.rpc.link import Conversations, Peer, Session


class Overhearing:
    """Stands between the edge and its services. `items`: what was said in each conversation, in both directions."""

    def __init__(self) -> None:
        self.items: dict[str, list[object]] = {}

    def __call__(self, purpose: str, service: Conversations[Any, Any]) -> Conversations[Any, Any]:
        return _Between(service, self.items.setdefault(purpose, []))

    def octets(self, purpose: str, *, without: tuple[type, ...] = ()) -> bytes:
        """All that was said there, as octets, but for items of these kinds."""
        kept = [item for item in self.items[purpose] if not isinstance(item, without)]
        return b"\n".join(msgspec.msgpack.encode(item) for item in kept)


class _Between:
    def __init__(self, service: Conversations[Any, Any], items: list[object]) -> None:
        self._service = service
        self._items = items

    def open(self, peer: Peer, reply: Callable[[Any], None]) -> Session[Any]:
        def overheard(item: Any) -> None:
            self._items.append(item)
            reply(item)

        return _Session(self._service.open(peer, overheard), self._items)


class _Session:
    def __init__(self, session: Session[Any], items: list[object]) -> None:
        self._session = session
        self._items = items

    async def receive(self, items: Sequence[Any]) -> None:
        self._items.extend(items)
        await self._session.receive(items)

    async def close(self) -> None:
        await self._session.close()
