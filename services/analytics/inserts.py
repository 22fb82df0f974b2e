"""
Inserts: one batch after the other into the store, acknowledged when it is there.

All edges share one queue in the order of arrival, which keeps the order within each edge. A batch that comes again
while it still waits is the same one; the newest stream it came on gets the acknowledgement. While the store is down
the first batch is tried again and again and nothing is acknowledged, so edges go on keeping what they have.

Hazard: a batch is inserted although its edge may be gone by now; that edge's disk may be gone as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from services.analytics.refused import RefusedBatches
from services.analytics.store.logs import BatchRefused, LogStore
from services.analytics.tails import Tails
from services.contracts.analytics.conversation import batch_key
from services.contracts.analytics.values import Ack, EventBatch
from services.kit.errors import DependencyUnavailable
from services.kit.health import Dependencies
from services.kit.names import MetricName, SpanName
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Span, Tracer

QUEUE_BYTES = 64 * 1_048_576
QUEUE_BATCHES = 1_024
RETRY_S = 1.0

Reply = Callable[[Ack], None]
_log = logging.getLogger(__name__)


class Inserts:
    """A bounded queue and the loop that empties it."""

    def __init__(
        self,
        *,
        store: LogStore,
        refused: RefusedBatches,
        tails: Tails,
        dependencies: Dependencies,
        metrics: Metrics,
        tracer: Tracer,
        retry_s: float = RETRY_S,
    ) -> None:
        self._store = store
        self._refused = refused
        self._tails = tails
        self._dependencies = dependencies
        self._tracer = tracer
        self._retry_s = retry_s
        self._stored_rows = metrics.counter(MetricName.STORED_ROWS)
        self._stored_batches = metrics.counter(MetricName.STORED_BATCHES)
        self._waiting: dict[tuple[str, int], tuple[EventBatch, Reply]] = {}
        self._waiting_bytes = 0
        self._changed = asyncio.Condition()

    @property
    def waiting_count(self) -> int:
        """Batches that are not stored yet."""
        return len(self._waiting)

    async def put(self, batch: EventBatch, reply: Reply) -> None:
        """Take a batch; waits while the queue is full, which holds up the one stream it came on."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            known = batch_key(batch) in self._waiting
            self._waiting[batch_key(batch)] = (batch, reply)
            self._waiting_bytes += 0 if known else _size_bytes(batch)
            self._changed.notify_all()

    async def settled(self) -> None:
        """Returns when nothing waits."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)

    async def run(self) -> None:
        """Insert for ever."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                key, (batch, _) = next(iter(self._waiting.items()))
            await self._insert(batch)
            async with self._changed:
                _, reply = self._waiting.pop(key)
                self._waiting_bytes -= _size_bytes(batch)
                self._changed.notify_all()
            reply(Ack(edge=batch.edge, sequence=batch.sequence))

    async def _insert(self, batch: EventBatch) -> None:
        """Returns when the batch is stored or set aside."""
        spans = self._spans(batch)
        try:
            await self._stored(batch)
        except BatchRefused as refusal:
            await self._set_aside(batch, spans, reason=str(refusal))
        except Exception as error:  # noqa: BLE001 - a rim: one batch must not hold up all others for ever
            _log.exception("a batch could not be stored, for a reason nobody foresaw")
            await self._set_aside(batch, spans, reason=type(error).__name__)
        else:
            self._stored_rows.add(value=batch.row_count)
            self._stored_batches.add(("stored",))
            self._tails.publish(batch)
            _end(spans)

    async def _set_aside(self, batch: EventBatch, spans: list[Span], *, reason: str) -> None:
        self._stored_batches.add(("failed",))
        await self._refused.set_aside(batch, reason=reason)
        _end(spans, error="refused")

    async def _stored(self, batch: EventBatch) -> None:
        while True:
            try:
                await self._store.insert(batch)
            except DependencyUnavailable as error:
                if not self._dependencies.is_down("store"):
                    _log.warning("the log store is down, edges keep their batches: %s", error)
                self._dependencies.report("store", "down")
                await asyncio.sleep(self._retry_s)
            else:
                self._dependencies.report("store", "up")
                return

    def _has_room(self) -> bool:
        return len(self._waiting) < QUEUE_BATCHES and self._waiting_bytes < QUEUE_BYTES

    def _spans(self, batch: EventBatch) -> list[Span]:
        spans = (self._tracer.start(SpanName.EVENT, parent=each, kind="server") for each in batch.traceparents)
        return [span for span in spans if span is not None]


def _end(spans: list[Span], *, error: str = "") -> None:
    for span in spans:
        span.end(error=error)


def _size_bytes(batch: EventBatch) -> int:
    return len(batch.rows) + len(batch.bodies)
