"""
Memory store: leases of one process, for `narrows run` without Redis and for tests.

A real store with the same answers as Redis, and bounded like everything else: a bucket that nothing counts in any
more is forgotten, and a new one beyond the bound is not decided. Hazard: it forgets everything at a
restart, which is why several limiters need Redis.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from services.contracts.limiter.values import Ask, Bucket, LeaseAnswer, LeaseRequest, ReportAck, StoreDown
from services.kit.clock import Clock
from services.kit.errors import Overloaded
from services.limiter.bucket import LeasedBucket
from services.limiter.store import EDGES_HEARD_MS
from services.limiter.window import US_PER_MS

BUCKETS_MAX = 100_000


class MemoryLeaseStore:
    """Implements LeaseStore. `open_bucket` is for tests that break a rule."""

    def __init__(
        self,
        *,
        clock: Clock,
        buckets_max: int = BUCKETS_MAX,
        open_bucket: Callable[[Bucket], LeasedBucket] = LeasedBucket,
    ) -> None:
        self._clock = clock
        self._open_bucket = open_bucket
        self._buckets_max = buckets_max
        self._buckets: dict[Bucket, LeasedBucket] = {}
        self._forgetting: list[tuple[int, int, Bucket]] = []
        self._made = 0
        self._heard_us: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        """One answer per request, in order."""
        now_us = round(self._clock.wall_s() * 1_000_000)
        self._forget(now_us)
        edges = self._hear({request.edge for request in requests}, now_us)
        return [self._decide(request, now_us, edges) for request in requests]

    async def check(self) -> None:
        """Memory loses nothing by itself."""

    def usage(self, bucket: Bucket) -> tuple[int, int]:
        """Held and spent units of a bucket, as of its last decision."""
        known = self._buckets.get(bucket)
        return (known.held, known.spent) if known is not None else (0, 0)

    def _decide(self, request: LeaseRequest, now_us: int, edges: int) -> LeaseAnswer:
        bucket = self._buckets.get(request.bucket)
        if bucket is None:
            if not isinstance(request, Ask) and not request.is_closed:
                return ReportAck(request.bucket, request.sequence, request.spent, request.returned, is_closed=False)
            if len(self._buckets) >= self._buckets_max:
                return StoreDown(
                    request.bucket, request.sequence, Overloaded.code, f"more than {self._buckets_max} buckets"
                )
            bucket = self._buckets[request.bucket] = self._open_bucket(request.bucket)
            answer = self._answer(bucket, request, now_us, edges)
            self._made += 1
            heapq.heappush(self._forgetting, (bucket.forget_us, self._made, request.bucket))
            return answer
        return self._answer(bucket, request, now_us, edges)

    def _answer(self, bucket: LeasedBucket, request: LeaseRequest, now_us: int, edges: int) -> LeaseAnswer:
        if isinstance(request, Ask):
            return bucket.ask(request, now_us=now_us, edges=edges)
        return bucket.report(request, now_us=now_us)

    def _forget(self, now_us: int) -> None:
        """Drop idle buckets. Each has one place in the queue, moved on when it turns out to live longer."""
        while self._forgetting and self._forgetting[0][0] <= now_us:
            _, number, bucket = heapq.heappop(self._forgetting)
            forget_us = self._buckets[bucket].forget_us
            if forget_us <= now_us:
                del self._buckets[bucket]
            else:
                heapq.heappush(self._forgetting, (forget_us, number, bucket))

    def _hear(self, edges: set[str], now_us: int) -> int:
        """Note who was heard of; how many there are."""
        for edge in edges:
            self._heard_us.pop(edge, None)
            self._heard_us[edge] = now_us
        while self._heard_us:
            longest_silent = next(iter(self._heard_us))
            if self._heard_us[longest_silent] > now_us - EDGES_HEARD_MS * US_PER_MS:
                break
            del self._heard_us[longest_silent]
        return max(1, len(self._heard_us))
