"""The near cache: hits while their ttl lasts, within its bytes."""

from __future__ import annotations

from services.contracts.cache.codec import reply_size_bytes
from services.contracts.cache.values import Hit
from services.edge.answers.near import NearCache
from tests.fakes.clock import FakeClock


def put(near: NearCache, key: bytes, answer: Hit) -> None:
    near.put(key, answer, reply_size_bytes(answer))


def hit(*, size_bytes: int = 100, ttl_s: int = 60) -> Hit:
    return Hit(0, 200, ((b"Content-Type", b"text/plain"),), (bytes(size_bytes),), "", ttl_s)


def test_an_answer_is_here_until_its_ttl_is_over() -> None:
    clock = FakeClock()
    near = NearCache(clock=clock, bytes_max=10_000)
    put(near, b"k", hit(ttl_s=60))

    clock.advance(59.9)
    before = near.get(b"k")
    clock.advance(0.1)

    assert before == hit(ttl_s=60)
    assert near.get(b"k") is None
    assert near.used_bytes == 0


def test_the_answer_that_was_not_used_for_longest_leaves_first() -> None:
    near = NearCache(clock=FakeClock(), bytes_max=10_000)
    put(near, b"a", hit(size_bytes=4_000))
    put(near, b"b", hit(size_bytes=4_000))
    near.get(b"a")

    put(near, b"c", hit(size_bytes=4_000))

    assert [near.get(name) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
    assert near.used_bytes <= 10_000


def test_an_answer_larger_than_the_cache_is_not_kept() -> None:
    near = NearCache(clock=FakeClock(), bytes_max=10_000)
    put(near, b"a", hit())

    put(near, b"large", hit(size_bytes=10_000))

    assert near.get(b"large") is None
    assert near.get(b"a") is not None


def test_many_small_chunks_count_for_what_they_take() -> None:
    near = NearCache(clock=FakeClock(), bytes_max=10_000)

    put(near, b"k", Hit(0, 200, (), (b"x",) * 1_000, "", 60))

    assert near.get(b"k") is None


def test_an_answer_put_again_counts_once() -> None:
    near = NearCache(clock=FakeClock(), bytes_max=10_000)
    put(near, b"k", hit())
    once_bytes = near.used_bytes

    put(near, b"k", hit())

    assert near.used_bytes == once_bytes
    assert len(near) == 1


def test_an_answer_without_ttl_is_not_kept() -> None:
    near = NearCache(clock=FakeClock(), bytes_max=10_000)

    put(near, b"k", hit(ttl_s=0))

    assert near.get(b"k") is None
