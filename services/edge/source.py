"""
Source: an answer as it comes, wherever it comes from.

A provider, a stored answer and an answer that another request is filling all look alike to the relay loop: status,
headers, bytes in the pieces they came in, and an end that is proper or not. So there is one relay loop; each
kind of source drives its steps in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from services.contracts.cache.values import Hit, JoinChunk, JoinEnd, JoinHead
from services.edge.answers.recall import Recall
from services.edge.upstream.answer_form import KnownHead
from services.kit.errors import StreamBroken, StreamStalled

T = TypeVar("T")


class Source(Protocol):
    """One answer."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> bytes: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def known_head(self) -> KnownHead | None:
        """The head's form, where it has one that the upstream client knows."""
        ...

    @property
    def facts(self) -> str | None:
        """What was stored beside an answer, as far as it has come; None: it comes from a provider."""
        ...

    @property
    def is_framed(self) -> bool:
        """HTTP's framing says where the body ends; False: it ends by closing."""
        ...

    @property
    def is_finished(self) -> bool:
        """The end has come; what has not been taken yet is the rest."""
        ...

    def take(self) -> list[bytes]:
        """What has come since, without waiting."""
        ...

    async def drive(self, step: Callable[[], T | None]) -> T:
        """
        Call `step` now and after each change, until it gives something; that is returned.

        Raises StreamBroken when the answer breaks and `step` has taken all that came before, and what `step` raises.
        """
        ...

    def abort(self) -> None:
        """Nobody wants the rest."""
        ...


class StoredAnswer:
    """A cache hit, replayed in the chunks it came in."""

    is_framed = True
    is_finished = True
    reason = b""
    known_head = None

    def __init__(self, hit: Hit) -> None:
        self.status = hit.status
        self.headers: Sequence[tuple[bytes, bytes]] = hit.headers
        self.facts = hit.facts
        self._chunks = list(hit.chunks)

    def take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks

    async def drive(self, step: Callable[[], T | None]) -> T:
        while (given := step()) is None:
            pass
        return given

    def abort(self) -> None:
        """A stored answer needs no stopping."""


class JoinedAnswer:
    """An answer that another request is filling; begins when its head is known."""

    is_framed = True
    reason = b""
    known_head = None

    def __init__(self, recall: Recall, head: JoinHead, *, idle_timeout_s: float) -> None:
        self.status = head.status
        self.headers: Sequence[tuple[bytes, bytes]] = head.headers
        self.facts = ""
        self.is_finished = False
        self._recall = recall
        self._idle_timeout_s = idle_timeout_s
        self._chunks: list[bytes] = []

    def take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks

    async def drive(self, step: Callable[[], T | None]) -> T:
        while (given := step()) is None:
            await self._more()
        return given

    async def _more(self) -> None:
        try:
            item = await self._recall.next(timeout_s=self._idle_timeout_s)
        except TimeoutError:
            raise StreamStalled(f"nothing of the answer came for {self._idle_timeout_s:g} s") from None
        match item:
            case JoinChunk():
                self._chunks.append(item.chunk)
            case JoinEnd(outcome="whole"):
                self.is_finished = True
                self.facts = item.facts
            case _:
                raise StreamBroken("the request that was fetching this answer for several clients failed")

    def abort(self) -> None:
        self._recall.leave()
