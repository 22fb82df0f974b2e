"""
Stores in Redis: what replicas share, and what survives them.

Keys of one answer (`narrows:answer:{HASH}` and its lease) share a hash tag, so they live on one node of a cluster
and one script decides over both. What is asked or stored together travels together, in one write.

Hazard: a server that is full refuses writes and still reads. That is no outage: the answer is not stored, the caller
fills without a lease, and the breaker stays closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import OutOfMemoryError

from services.cache.store.answers import Claim, Found, Kept
from services.cache.store.entries import pack_entry, unpack_entry
from services.cache.store.runs import PAGE_BYTES_MAX, RUN_BYTES_MAX, RUN_TTL_MS, RunAppend, RunPage
from services.kit.breaker import Breaker
from services.kit.redis import RedisClient
from services.kit.redis_scripts import RedisScripts, Script, ScriptCall

_CLAIM = Script("""
local entry = redis.call('GET', KEYS[1])
if entry then return {entry, redis.call('PTTL', KEYS[1])} end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return 1
end
return redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
""")

_KEEP = Script("""
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
""")

_RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")

_RENEW = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
""")

# A run is a hash: events by number, `n` how many, `b` their bytes, `z` once it has ended.
_APPEND = Script("""
local known = redis.call('HMGET', KEYS[1], 'n', 'b')
local count, bytes = tonumber(known[1] or 0), tonumber(known[2] or 0)
local first, size = tonumber(ARGV[1]), #ARGV - 4
if first > count then
  redis.call('DEL', KEYS[1])
  return 0
end
for index = count, first + size - 1 do bytes = bytes + #ARGV[5 + index - first] end
if bytes > tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  return 0
end
for index = count, first + size - 1 do redis.call('HSET', KEYS[1], index, ARGV[5 + index - first]) end
redis.call('HSET', KEYS[1], 'n', math.max(count, first + size), 'b', bytes)
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'z', 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")

_READ = Script("""
local known = redis.call('HMGET', KEYS[1], 'n', 'z')
if not known[1] then return false end
local page, bytes, index, count = {}, 0, tonumber(ARGV[1]), tonumber(known[1])
while index < count do
  local event = redis.call('HGET', KEYS[1], index)
  bytes = bytes + #event
  if #page > 0 and bytes > tonumber(ARGV[2]) then break end
  page[#page + 1] = event
  index = index + 1
end
return {(known[2] and index >= count) and 1 or 0, page}
""")


class RedisAnswerStore:
    """An `AnswerStore` shared by all replicas."""

    def __init__(self, *, client: RedisClient, breaker: Breaker) -> None:
        self._scripts = RedisScripts(client=client)
        self._breaker = breaker

    async def claim(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[Claim]:
        """See `AnswerStore`."""
        calls = [(_CLAIM, _names(key), (owner, lease_ms)) for key in keys]
        return [_claim_of(result) for result in await self._run(calls)]

    async def keep(self, answers: Sequence[Kept], *, owner: str) -> Sequence[bool]:
        """See `AnswerStore`."""
        calls = [(_KEEP, _names(each.key), (owner, pack_entry(each.entry), each.ttl_ms)) for each in answers]
        return [not isinstance(result, OutOfMemoryError) for result in await self._run(calls)]

    async def release(self, keys: Sequence[bytes], *, owner: str) -> None:
        """See `AnswerStore`."""
        await self._run([(_RELEASE, [_lease_name(key)], [owner]) for key in keys])

    async def renew(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[bool]:
        """See `AnswerStore`."""
        results = await self._run([(_RENEW, [_lease_name(key)], [owner, lease_ms]) for key in keys])
        return [result == 1 for result in results]

    async def _run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        return await run_scripts(self._scripts, self._breaker, calls)


class RedisRunStore:
    """A `RunStore` shared by all replicas."""

    def __init__(self, *, client: RedisClient, breaker: Breaker) -> None:
        self._scripts = RedisScripts(client=client)
        self._breaker = breaker

    async def append(self, appends: Sequence[RunAppend]) -> Sequence[bool]:
        """See `RunStore`."""
        calls = [_append_call(append) for append in appends]
        return [result == 1 for result in await run_scripts(self._scripts, self._breaker, calls)]

    async def read(self, run: str, first_index: int) -> RunPage | None:
        """See `RunStore`."""
        call = (_READ, [_run_name(run)], [first_index, PAGE_BYTES_MAX])
        result = (await run_scripts(self._scripts, self._breaker, [call]))[0]
        return None if result is None else RunPage(tuple(result[1]), result[0] == 1)


async def run_scripts(scripts: RedisScripts, breaker: Breaker, calls: Sequence[ScriptCall]) -> list[Any]:
    """The results of these calls; a full server's refusals stand among them."""
    return await breaker.call(lambda: _run_all(scripts, calls))


async def _run_all(scripts: RedisScripts, calls: Sequence[ScriptCall]) -> list[Any]:
    results = await scripts.run(calls)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, OutOfMemoryError):
            raise result
    return results


def _append_call(append: RunAppend) -> ScriptCall:
    arguments: list[bytes | str | int] = [
        append.first_index,
        int(append.is_end),
        RUN_BYTES_MAX,
        RUN_TTL_MS,
        *append.events,
    ]
    return _APPEND, [_run_name(append.run)], arguments


def _claim_of(result: Any) -> Claim:
    if isinstance(result, OutOfMemoryError):
        return "nobody's"
    if isinstance(result, list):
        entry = unpack_entry(result[0])
        return "nobody's" if entry is None else Found(entry, result[1])
    return "ours" if result == 1 else "theirs"


def _names(key: bytes) -> tuple[str, str]:
    """Where the answer is, and the lease to fill it."""
    entry_name = f"narrows:answer:{{{key.hex()}}}"
    return entry_name, f"{entry_name}:lease"


def _lease_name(key: bytes) -> str:
    return _names(key)[1]


def _run_name(run: str) -> str:
    return f"narrows:run:{{{run}}}"
