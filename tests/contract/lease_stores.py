"""
The lease stores a contract suite runs on, each with a clock that tests set.

The Redis one is the real store on a real server; only the line of its scripts that reads the server's time is
replaced by one that reads it from a key.
"""

from __future__ import annotations

from typing import Protocol

from redis.asyncio import Redis

from services.contracts.limiter.values import Ask, Bucket, LeaseAnswer, LeaseRequest, Report
from services.kit.redis_scripts import Script
from services.limiter.memory import MemoryLeaseStore
from services.limiter.redis_store import RedisLeaseStore, Scripts, bucket_keys, read_scripts
from tests.fakes.clock import FakeClock

EPOCH_S = 1_790_000_000.0
"""A multiple of every window the suite uses."""

FIXED = Bucket("local", "main", "calls", "fixed", 10)
SLIDING = Bucket("local", "main", "calls", "sliding", 127)
"""Its sub-buckets are a second long."""


class Stored(Protocol):
    """A store whose time a test sets and whose memory it may look into."""

    clock: FakeClock

    async def decide(self, *requests: LeaseRequest) -> list[LeaseAnswer]: ...

    async def is_forgotten(self, bucket: Bucket, *, after_s: float) -> bool: ...


class InMemory:
    """The store of one process."""

    def __init__(self) -> None:
        self.clock = FakeClock(wall_s=EPOCH_S)
        self.store = MemoryLeaseStore(clock=self.clock)

    async def decide(self, *requests: LeaseRequest) -> list[LeaseAnswer]:
        return await self.store.decide(requests)

    async def is_forgotten(self, bucket: Bucket, *, after_s: float) -> bool:
        self.clock.advance(after_s)
        await self.store.decide([])
        return len(self.store) == 0


class InRedis:
    """The shared store, on a server of its own."""

    def __init__(self, client: Redis) -> None:
        self.clock = FakeClock(wall_s=EPOCH_S)
        self._client = client
        self.store = RedisLeaseStore(client=client, clock=self.clock, scripts=scripts_on_set_time())

    async def decide(self, *requests: LeaseRequest) -> list[LeaseAnswer]:
        await set_time(self._client, self.clock)
        return await self.store.decide(requests)

    async def is_forgotten(self, bucket: Bucket, *, after_s: float) -> bool:
        left_ms = [await self._client.pttl(key) for key in bucket_keys(bucket)]
        assert -1 not in left_ms, "a key that never expires"
        return max(left_ms) <= after_s * 1000


def scripts_on_set_time() -> Scripts:
    """The real scripts, reading the time a test set."""
    real = read_scripts()
    return Scripts(_on_set_time(real.lease), _on_set_time(real.edges))


async def set_time(client: Redis, clock: FakeClock) -> None:
    now_us = round(clock.wall_s() * 1_000_000)
    await client.set("test:time", f'["{now_us // 1_000_000}","{now_us % 1_000_000}"]')


def ask(
    bucket: Bucket, sequence: int = 1, *, edge: str = "A", limit: int = 1000, waiting: int = 1, ahead: int = 0
) -> Ask:
    return Ask(edge, bucket, sequence, limit, waiting, ahead)


def report(
    bucket: Bucket, sequence: int = 1, *, edge: str = "A", spent: int = 0, returned: int = 0, is_closed: bool = False
) -> Report:
    return Report(edge, bucket, sequence, spent, returned, is_closed, 1000)


def _on_set_time(script: Script) -> Script:
    text = script.text.replace("redis.call('TIME')", "cjson.decode(redis.call('GET', 'test:time'))")
    assert text != script.text
    return Script(text)
