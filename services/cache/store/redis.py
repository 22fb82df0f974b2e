"""
Stores in Redis: what replicas share, and what survives them.

Keys of one answer (`narrows:answer:{HASH}` and its lease) share a hash tag, so they live on one node of a cluster
and one script decides over both. Scripts are sent as text: they are shorter than most keys of a request, and a
restarted or failed-over server needs nothing loaded first. Questions of one turn go as one pipeline.

Hazard: a server that is full refuses writes and still reads. That is no outage: the answer is not stored, the caller
fills without a lease, and the breaker stays closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import OutOfMemoryError

from services.cache.store.answers import Claim, Entry, Found
from services.cache.store.entries import pack_entry, unpack_entry
from services.cache.store.runs import PAGE_BYTES_MAX, RUN_BYTES_MAX, RUN_TTL_MS, RunAppend, RunPage
from services.kit.breaker import Breaker
from services.kit.redis import RedisClient

_CLAIM = """
local entry = redis.call('GET', KEYS[1])
if entry then return {entry, redis.call('PTTL', KEYS[1])} end
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  return 1
end
return redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""

_KEEP = """
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""

# A run is a hash: events by number, `n` how many, `b` their bytes, `z` once it has ended.
_APPEND = """
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
"""

_READ = """
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
"""


class RedisAnswerStore:
    """An `AnswerStore` shared by all replicas."""

    def __init__(self, *, client: RedisClient, breaker: Breaker) -> None:
        self._client = client
        self._breaker = breaker

    async def claim(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[Claim]:
        """See `AnswerStore`."""
        scripts = [(_CLAIM, [_entry_name(key), _lease_name(key)], [owner, lease_ms]) for key in keys]
        return [_claim_of(result) for result in await self._run(scripts)]

    async def keep(self, key: bytes, entry: Entry, *, ttl_ms: int, owner: str) -> bool:
        """See `AnswerStore`."""
        script = (_KEEP, [_entry_name(key), _lease_name(key)], [owner, pack_entry(entry), ttl_ms])
        return not isinstance((await self._run([script]))[0], OutOfMemoryError)

    async def release(self, keys: Sequence[bytes], *, owner: str) -> None:
        """See `AnswerStore`."""
        await self._run([(_RELEASE, [_lease_name(key)], [owner]) for key in keys])

    async def renew(self, keys: Sequence[bytes], *, owner: str, lease_ms: int) -> Sequence[bool]:
        """See `AnswerStore`."""
        results = await self._run([(_RENEW, [_lease_name(key)], [owner, lease_ms]) for key in keys])
        return [result == 1 for result in results]

    async def _run(self, scripts: Sequence[tuple[str, list[str], list[Any]]]) -> list[Any]:
        return await run_scripts(self._client, self._breaker, scripts)


class RedisRunStore:
    """A `RunStore` shared by all replicas."""

    def __init__(self, *, client: RedisClient, breaker: Breaker) -> None:
        self._client = client
        self._breaker = breaker

    async def append(self, appends: Sequence[RunAppend]) -> Sequence[bool]:
        """See `RunStore`."""
        scripts = [_append_script(append) for append in appends]
        return [result == 1 for result in await run_scripts(self._client, self._breaker, scripts)]

    async def read(self, run: str, first_index: int) -> RunPage | None:
        """See `RunStore`."""
        script = (_READ, [_run_name(run)], [first_index, PAGE_BYTES_MAX])
        result = (await run_scripts(self._client, self._breaker, [script]))[0]
        return None if result is None else RunPage(tuple(result[1]), result[0] == 1)


async def run_scripts(
    client: RedisClient, breaker: Breaker, scripts: Sequence[tuple[str, list[str], list[Any]]]
) -> list[Any]:
    """One pipeline of scripts (text, keys, arguments); a full server's refusals stand among the results."""

    async def attempt() -> list[Any]:
        pipeline: Any = client.pipeline(transaction=False)
        for text, keys, arguments in scripts:
            pipeline.eval(text, len(keys), *keys, *arguments)
        results: list[Any] = await pipeline.execute(raise_on_error=False)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OutOfMemoryError):
                raise result
        return results

    return await breaker.call(attempt)


def _append_script(append: RunAppend) -> tuple[str, list[str], list[Any]]:
    arguments = [append.first_index, int(append.is_end), RUN_BYTES_MAX, RUN_TTL_MS, *append.events]
    return _APPEND, [_run_name(append.run)], arguments


def _claim_of(result: Any) -> Claim:
    if isinstance(result, OutOfMemoryError):
        return "nobody's"
    if isinstance(result, list):
        entry = unpack_entry(result[0])
        return "nobody's" if entry is None else Found(entry, result[1])
    return "ours" if result == 1 else "theirs"


def _entry_name(key: bytes) -> str:
    return f"narrows:answer:{{{key.hex()}}}"


def _lease_name(key: bytes) -> str:
    return f"narrows:answer:{{{key.hex()}}}:lease"


def _run_name(run: str) -> str:
    return f"narrows:run:{{{run}}}"
