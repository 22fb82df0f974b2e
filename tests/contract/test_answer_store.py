"""The answer store's contract: whole entries with a ttl, and one lease at a time on filling a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from services.cache.store.answers import Claim, Entry, Found, Kept
from services.cache.store.entries import pack_entry, unpack_entry
from services.cache.store.memory import MemoryAnswerStore
from services.cache.store.redis import RedisAnswerStore
from services.kit.errors import DependencyUnavailable
from services.kit.redis import open_redis
from tests.contract.cache_stores import KINDS, Kind, Servers, Stores, breaker_of, open_stores
from tests.fakes.clock import FakeClock
from tests.redis_server import RedisServer

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
ANSWER = Entry(
    200, ((b"Content-Type", b"text/event-stream"), (b"X-Two", b"a"), (b"X-Two", b"b")), (b"one", b"t", b"wo")
)
LEASE_MS = 3_000


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


@pytest.fixture(params=KINDS)
async def stores(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Stores]:
    kind: Kind = request.param
    async with open_stores(kind, servers) as opened:
        yield opened


async def claim(stores: Stores, key: bytes = KEY, *, owner: str = "a", lease_ms: int = LEASE_MS) -> Claim:
    return (await stores.answers.claim([key], owner=owner, lease_ms=lease_ms))[0]


async def keep(
    stores: Stores, *, key: bytes = KEY, entry: Entry = ANSWER, ttl_ms: int = 60_000, owner: str = "a"
) -> bool:
    return (await stores.answers.keep([Kept(key, entry, ttl_ms)], owner=owner))[0]


async def test_the_first_to_claim_an_empty_key_gets_its_lease(stores: Stores) -> None:
    assert await claim(stores, owner="a") == "ours"
    assert await claim(stores, owner="b") == "theirs"


async def test_an_owner_that_claims_again_still_has_its_lease(stores: Stores) -> None:
    await claim(stores, owner="a")

    assert await claim(stores, owner="a") == "ours"


async def test_a_kept_answer_is_found_as_it_was(stores: Stores) -> None:
    await keep(stores, ttl_ms=60_000)

    found = await claim(stores)

    assert isinstance(found, Found)
    assert found.entry == ANSWER
    assert 59_000 < found.ttl_left_ms <= 60_000


async def test_bytes_of_every_kind_survive(stores: Stores) -> None:
    strange = Entry(200, ((b"X", bytes(range(256))),), (bytes(range(256)), b"\r\n\r\n", b"\xff"), '{"model": "ü"}')
    await keep(stores, entry=strange)

    found = await claim(stores)

    assert isinstance(found, Found)
    assert found.entry == strange


async def test_keys_are_claimed_in_order_and_apart(stores: Stores) -> None:
    await keep(stores, key=OTHER_KEY)

    first, second = await stores.answers.claim([KEY, OTHER_KEY], owner="a", lease_ms=LEASE_MS)

    assert first == "ours"
    assert isinstance(second, Found)


async def test_keeping_gives_the_lease_back(stores: Stores) -> None:
    await claim(stores, owner="a")
    await keep(stores, owner="a", ttl_ms=20)

    await stores.pass_time(0.02)

    assert await claim(stores, owner="b") == "ours"


async def test_keeping_without_the_lease_leaves_it_to_its_owner(stores: Stores) -> None:
    await claim(stores, owner="a")
    await keep(stores, owner="b", ttl_ms=20)

    await stores.pass_time(0.02)

    assert await claim(stores, owner="b") == "theirs"


async def test_answers_are_kept_in_order_and_apart(stores: Stores) -> None:
    old, new, other = (Entry(200, (), (text,)) for text in (b"old", b"new", b"other"))

    kept = await stores.answers.keep(
        [Kept(KEY, old, 60_000), Kept(OTHER_KEY, other, 60_000), Kept(KEY, new, 60_000)], owner="a"
    )

    found = await stores.answers.claim([KEY, OTHER_KEY], owner="a", lease_ms=LEASE_MS)
    assert list(kept) == [True, True, True]
    assert [each.entry for each in found if isinstance(each, Found)] == [new, other]


async def test_an_answer_kept_again_is_the_newer_one(stores: Stores) -> None:
    await keep(stores, entry=Entry(200, (), (b"old",)))
    await keep(stores, entry=Entry(200, (), (b"new",)))

    found = await claim(stores)

    assert isinstance(found, Found)
    assert found.entry.chunks == (b"new",)


async def test_an_answer_past_its_ttl_is_gone(stores: Stores) -> None:
    await keep(stores, ttl_ms=30)

    await stores.pass_time(0.03)

    assert await claim(stores) == "ours"


async def test_a_lease_that_is_not_renewed_passes_on(stores: Stores) -> None:
    await claim(stores, owner="a", lease_ms=30)

    await stores.pass_time(0.03)

    assert await claim(stores, owner="b") == "ours"


async def test_a_released_lease_passes_on_at_once(stores: Stores) -> None:
    await claim(stores, owner="a")

    await stores.answers.release([KEY], owner="a")

    assert await claim(stores, owner="b") == "ours"


async def test_only_its_owner_can_release_a_lease(stores: Stores) -> None:
    await claim(stores, owner="a")

    await stores.answers.release([KEY], owner="b")

    assert await claim(stores, owner="b") == "theirs"


async def test_a_renewed_lease_lasts_longer(stores: Stores) -> None:
    await claim(stores, owner="a", lease_ms=40)
    renewed = await stores.answers.renew([KEY], owner="a", lease_ms=LEASE_MS)

    await stores.pass_time(0.04)

    assert list(renewed) == [True]
    assert await claim(stores, owner="b") == "theirs"


async def test_a_lease_that_nobody_holds_any_more_is_taken_up_again(stores: Stores) -> None:
    await claim(stores, owner="a", lease_ms=20)
    await stores.pass_time(0.02)

    renewed = await stores.answers.renew([KEY], owner="a", lease_ms=LEASE_MS)

    assert list(renewed) == [True]
    assert await claim(stores, owner="b") == "theirs"


async def test_a_lease_that_another_took_over_is_lost(stores: Stores) -> None:
    await claim(stores, owner="a", lease_ms=20)
    await stores.pass_time(0.02)
    await claim(stores, owner="b")

    assert list(await stores.answers.renew([KEY, OTHER_KEY], owner="a", lease_ms=LEASE_MS)) == [False, True]


async def test_memory_is_bounded_and_the_least_used_answer_leaves_first() -> None:
    store = MemoryAnswerStore(clock=FakeClock(), bytes_max=10_000)
    for name in (b"a", b"b"):
        await store.keep([Kept(name, Entry(200, (), (bytes(4_000),)), 60_000)], owner="a")
    await store.claim([b"a"], owner="a", lease_ms=LEASE_MS)

    await store.keep([Kept(b"c", Entry(200, (), (bytes(4_000),)), 60_000)], owner="a")
    kept = [isinstance(found, Found) for found in await store.claim([b"a", b"b", b"c"], owner="a", lease_ms=LEASE_MS)]

    assert kept == [True, False, True]
    assert store.used_bytes <= 10_000


async def test_memory_refuses_an_answer_larger_than_all_of_it() -> None:
    store = MemoryAnswerStore(clock=FakeClock(), bytes_max=10_000)

    assert await store.keep([Kept(KEY, Entry(200, (), (bytes(20_000),)), 60_000)], owner="a") == [False]
    assert store.used_bytes == 0


async def test_redis_that_is_full_is_no_outage(servers: Servers) -> None:
    async with open_redis(servers.url("redis")) as client:
        await client.config_set("maxmemory", "1")
        try:
            breaker = breaker_of(client)
            store = RedisAnswerStore(client=client, breaker=breaker)
            claimed = await store.claim([KEY], owner="a", lease_ms=LEASE_MS)
            kept = await store.keep([Kept(KEY, ANSWER, 60_000)], owner="a")
        finally:
            await client.config_set("maxmemory", "0")

    assert list(claimed) == ["nobody's"]
    assert list(kept) == [False]
    assert not breaker.is_open


async def test_an_entry_that_redis_lost_bytes_of_is_no_answer(servers: Servers) -> None:
    async with open_redis(servers.url("redis")) as client:
        store = RedisAnswerStore(client=client, breaker=breaker_of(client))
        await store.keep([Kept(KEY, ANSWER, 60_000)], owner="a")
        for name in await client.keys("narrows:answer:*"):
            await client.setrange(name, 3, "\xff\xff")

        assert list(await store.claim([KEY], owner="a", lease_ms=LEASE_MS)) == ["nobody's"]


@pytest.mark.parametrize("damaged", [b"", b"\x02" + pack_entry(ANSWER)[1:], pack_entry(ANSWER)[:-1]])
def test_an_entry_of_another_version_or_cut_short_is_no_answer(damaged: bytes) -> None:
    assert unpack_entry(damaged) is None


async def test_a_server_that_is_gone_is_reported_once_and_then_refused_at_once(servers: Servers) -> None:
    gone = RedisServer(servers._directory)
    async with open_redis(gone.url) as client:
        breaker = breaker_of(client)
        store = RedisAnswerStore(client=client, breaker=breaker)
        with pytest.raises(DependencyUnavailable):
            await store.claim([KEY], owner="a", lease_ms=LEASE_MS)

        assert breaker.is_open
