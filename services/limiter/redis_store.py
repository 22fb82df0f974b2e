"""
Redis store: leases that several limiters share.

One script per decision (lease.lua), atomic and on the server's clock; a message's decisions travel in one write. A
bucket's keys share a hash tag, so a cluster keeps them together, and expire by themselves when nothing counts in
them any more.

Hazard: Redis must not evict. A lease that is gone is a lease granted twice, so `check` refuses any policy but
`noeviction`, at the start and again whenever the server was out of reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from services.contracts.limiter.values import (
    Ask,
    Bucket,
    Closed,
    Grant,
    LeaseAnswer,
    LeaseRequest,
    Refusal,
    ReportAck,
    StoreDown,
)
from services.kit.breaker import Breaker
from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.redis import RedisClient
from services.kit.redis_scripts import RedisScripts, Script, ScriptCall
from services.limiter.store import EDGES_HEARD_MS, LeaseStore

EDGES_FRESH_S = 1.0
"""An edge is noted, and all edges counted, this often; the count sizes leases and decides nothing."""
EDGES_KNOWN_MAX = 10_000

_EDGES_KEY = "narrows:limiter:edges"


@dataclass(frozen=True, slots=True)
class Scripts:
    """The two scripts of the store."""

    lease: Script
    edges: Script


def read_scripts() -> Scripts:
    """They lie beside this file."""
    here = resources.files(__package__)
    return Scripts(Script(here.joinpath("lease.lua").read_text()), Script(here.joinpath("edges.lua").read_text()))


class RedisLeaseStore:
    """Decides in Redis and lets its errors through; `GuardedLeaseStore` makes a LeaseStore of it."""

    def __init__(self, *, client: RedisClient, clock: Clock, scripts: Scripts) -> None:
        self._client = client
        self._redis = RedisScripts(client=client)
        self._clock = clock
        self._scripts = scripts
        self._edges = 1
        self._heard_s: dict[str, float] = {}

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        """One answer per request, in order. Raises the client's errors when none could be decided."""
        edges = {request.edge for request in requests}
        now_s = self._clock.monotonic_s()
        if edges - self._heard_s.keys():
            self._edges = (await self._run([self._count_edges(edges, now_s)]))[0]
        stale = [edge for edge in edges if now_s - self._heard_s[edge] >= EDGES_FRESH_S]
        commands = [self._decision(request) for request in requests]
        if stale:
            commands.append(self._count_edges(stale, now_s))
        results = await self._run(commands)
        if stale and isinstance(results[-1], int):
            self._edges = results[-1]
        return [_answer(request, result, self._edges) for request, result in zip(requests, results, strict=False)]

    async def check(self) -> None:
        """The server answers, knows the scripts, takes writes, and evicts nothing. Raises SettingsInvalid."""
        policies = {text for text in await self._policies() if text}
        if policies - {"noeviction"}:
            raise SettingsInvalid(
                f"the limiter's Redis must have maxmemory-policy noeviction, is {', '.join(sorted(policies))}: "
                "an evicted lease would be granted twice"
            )
        await self._redis.load(self._scripts.lease, self._scripts.edges)
        await self._run([self._count_edges((), self._clock.monotonic_s())])

    async def _policies(self) -> list[str]:
        """Of every server that takes writes; a cluster of several answers by node."""
        if isinstance(self._client, RedisCluster):
            memory = await self._client.info("memory", target_nodes=RedisCluster.PRIMARIES)
        else:
            memory = await self._client.info("memory")
        servers = [memory] if "maxmemory_policy" in memory else memory.values()
        return [str(server.get("maxmemory_policy", "")) for server in servers]

    def _decision(self, request: LeaseRequest) -> ScriptCall:
        bucket = request.bucket
        identity = bucket.technique, bucket.window_s * 1_000_000, request.edge, request.sequence, request.limit
        if isinstance(request, Ask):
            asked = ("ask", *identity, request.waiting, request.ahead, self._edges)
            return self._scripts.lease, bucket_keys(bucket), asked
        reported = ("report", *identity, request.spent, request.returned, int(request.is_closed))
        return self._scripts.lease, bucket_keys(bucket), reported

    def _count_edges(self, edges: Iterable[str], now_s: float) -> ScriptCall:
        for edge in edges:
            self._heard_s.pop(edge, None)
            self._heard_s[edge] = now_s
        while len(self._heard_s) > EDGES_KNOWN_MAX:
            del self._heard_s[next(iter(self._heard_s))]
        return self._scripts.edges, (_EDGES_KEY,), (EDGES_HEARD_MS, *edges)

    async def _run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """All in one write. Raises when every one failed."""
        results = await self._redis.run(calls)
        if all(isinstance(result, RedisError) for result in results):
            raise results[0]
        return results


class GuardedLeaseStore:
    """Implements LeaseStore: a store behind a breaker, so that a frozen Redis costs one message its deadline."""

    def __init__(self, *, store: LeaseStore, breaker: Breaker) -> None:
        self._store = store
        self._breaker = breaker

    async def decide(self, requests: Sequence[LeaseRequest]) -> list[LeaseAnswer]:
        """One answer per request, in order."""
        return await self._breaker.call(lambda: self._store.decide(requests))

    async def check(self) -> None:
        """Raises SettingsInvalid, DependencyUnavailable."""
        await self._breaker.call(self._store.check)


def bucket_keys(bucket: Bucket) -> tuple[str, str, str]:
    """The bucket's keys. Its identity is hashed: key values may be anything a client sends, also something secret."""
    digest = hashlib.blake2b(msgspec.msgpack.encode(bucket), digest_size=16).hexdigest()
    prefix = f"narrows:limiter:{{{digest}}}"
    return f"{prefix}:state", f"{prefix}:expiries", f"{prefix}:slots"


def _answer(request: LeaseRequest, result: Any, edges: int) -> LeaseAnswer:
    bucket, sequence = request.bucket, request.sequence
    if isinstance(result, Exception):
        return StoreDown(bucket, sequence, DependencyUnavailable.code, f"{type(result).__name__}: {result}"[:200])
    if not isinstance(request, Ask):
        return ReportAck(bucket, sequence, request.spent, request.returned, request.is_closed)
    match result:
        case [1, units, valid_ms, remaining, reset_ms]:
            return Grant(bucket, sequence, units, valid_ms, remaining, reset_ms, edges)
        case [2, pause_ms, reset_ms]:
            return Refusal(bucket, sequence, pause_ms, reset_ms, edges)
        case _:
            return Closed(bucket, sequence)
