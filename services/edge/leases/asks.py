"""
Asks: questions to the limiter, one open per bucket, repeated until answered.

A repeat carries the same sequence and goes to the next replica that is up, 50 ms after the last one. When a grant would
come with almost nothing left of its time, the ask is given up and a new sequence takes its place. Giving up is
itself a message: a report that closes the sequence, so that a copy of the ask still on its way gets nothing and a
lease already made is credited.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator

from services.contracts.limiter.conversation import lease_key
from services.contracts.limiter.values import Ask, Bucket, LeaseRequest
from services.edge.leases.holding import Holding, OpenAsk
from services.edge.leases.lease import SETTLES_S, Lease
from services.edge.leases.reports import Reports
from services.kit.rpc.link import Link, Links

REPEAT_S = 0.05
REPEAT_DOWN_S = 0.25
"""While the limiter says that its store is down: often enough to notice that it is back."""
RENEWED_S = 0.8
"""Of the second that a lease lasts."""
TRACEPARENTS_MAX = 16


class Asks:
    """The open asks of one edge, in the order they were last sent."""

    def __init__(self, *, edge: str, links: Links[LeaseRequest], reports: Reports) -> None:
        self._edge = edge
        self._links = links
        self._reports = reports
        self._open: dict[Bucket, Holding] = {}
        self._sequence = 0
        self._is_over = False

    def __len__(self) -> int:
        return len(self._open)

    def holdings(self) -> list[Holding]:
        """Those with an open ask."""
        return list(self._open.values())

    def open(self, holding: Holding, now_s: float) -> None:
        """Ask for what waits and what comes next, unless an ask is open."""
        if holding.ask is None and not self._is_over:
            self._sequence += 1
            holding.ask = OpenAsk(self._sequence, now_s)
            self._send(holding, holding.ask, now_s)

    def answered(self, holding: Holding) -> None:
        """The open ask has its answer."""
        holding.ask = None
        self._open.pop(holding.bucket, None)

    def abandon(self, holding: Holding, now_s: float) -> None:
        """Nobody wants the answer any more."""
        ask = holding.ask
        if ask is None:
            return
        self.answered(holding)
        if ask.attempts:
            closing = Lease(holding.bucket, ask.sequence, limit=holding.limit, dead_at_s=now_s + 1 + SETTLES_S)
            self._reports.note(closing)

    def end(self) -> None:
        """No ask is opened any more."""
        self._is_over = True

    def store_down(self, holding: Holding, ask: OpenAsk, now_s: float) -> bool:
        """One replica's store is down: try the next one; False when all have said so."""
        ask.stores_down += 1
        if ask.stores_down >= sum(1 for link in self._links.all() if link.is_up):
            ask.stores_down = 0
            return False
        self._send(holding, ask, now_s)
        return True

    def repeat(self, now_s: float) -> None:
        """Send again what got no answer, and renew what waited too long."""
        for holding, ask in list(self._overdue(now_s)):
            if now_s - ask.first_at_s < RENEWED_S:
                self._send(holding, ask, now_s)
                continue
            self.abandon(holding, now_s)
            if holding.waiters or holding.debt:
                self.open(holding, now_s)

    def opened(self, now_s: float) -> None:
        """A stream stands: send what found none."""
        for holding, ask in self._each():
            if not ask.is_sent:
                self._send(holding, ask, now_s)

    def lost(self, keys: Container[Hashable], now_s: float) -> None:
        """A stream is gone that carried these: send them on another, or when there is one again."""
        for holding, ask in self._each():
            if (holding.bucket, ask.sequence) in keys:
                self._send(holding, ask, now_s)

    def _each(self) -> list[tuple[Holding, OpenAsk]]:
        return [(holding, holding.ask) for holding in self._open.values() if holding.ask is not None]

    def _overdue(self, now_s: float) -> Iterator[tuple[Holding, OpenAsk]]:
        for holding, ask in self._each():
            waited_s = now_s - ask.sent_at_s
            if waited_s < REPEAT_S:
                return
            if waited_s >= REPEAT_DOWN_S or now_s >= holding.store_down_until_s:
                yield holding, ask

    def _send(self, holding: Holding, ask: OpenAsk, now_s: float) -> None:
        self._open.pop(holding.bucket, None)
        self._open[holding.bucket] = holding
        ask.sent_at_s = now_s
        link = self._link(ask.attempts)
        if link is None:
            ask.is_sent = False
            return
        if not ask.attempts:
            ask.first_at_s = now_s
        message = self._message(holding, ask, now_s)
        ask.is_sent = link.send(message, key=lease_key(message))
        ask.attempts += ask.is_sent

    def _message(self, holding: Holding, ask: OpenAsk, now_s: float) -> Ask:
        waiting = holding.waiting_units()
        traceparents = [waiter.traceparent for waiter in holding.waiters if waiter.traceparent]
        return Ask(
            self._edge,
            holding.bucket,
            ask.sequence,
            holding.limit,
            waiting,
            holding.ahead(now_s, waiting),
            tuple(traceparents[:TRACEPARENTS_MAX]),
        )

    def _link(self, attempt: int) -> Link[LeaseRequest] | None:
        """The usual one first, then the others in turn."""
        usual = self._links.any()
        if usual is None or attempt == 0:
            return usual
        up = [link for link in self._links.all() if link.is_up] or [usual]
        first = up.index(usual) if usual in up else 0
        return up[(first + attempt) % len(up)]
