"""Fills: one caller asks the provider, the others get its answer, and somebody takes over when it fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.cache.counts import Counts
from services.cache.fills import Answer, Fills
from services.cache.limits import Limits
from services.cache.store.answers import Entry, Found
from services.cache.stream import Caller, Stream
from services.contracts.cache.values import (
    CacheReply,
    Fill,
    FillHead,
    FillWhole,
    Hit,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Miss,
    Outcome,
    Watched,
)
from tests.fakes.clock import FakeClock

KEY = b"k" * 32
HEADERS = ((b"Content-Type", b"text/event-stream"),)
STORED = Found(Entry(200, HEADERS, (b"stored",), "{}"), 60_000)


class Desk:
    """A store that answers when the test says so, and writes down what it was told."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Callable[[bytes, Answer], None]]] = []
        self.kept: list[tuple[bytes, Found, Callable[[], None]]] = []
        self.released: list[bytes] = []

    def ask(self, key: bytes, then: Callable[[bytes, Answer], None]) -> None:
        self.asked.append((key, then))

    def keep(self, key: bytes, found: Found, then: Callable[[], None]) -> None:
        self.kept.append((key, found, then))

    def release(self, key: bytes) -> None:
        self.released.append(key)


class Edge:
    """One edge's stream: makes callers and keeps what they were told, call by call."""

    def __init__(self, replica: Replica, limits: Limits) -> None:
        self.said: list[CacheReply] = []
        self.stream = Stream(reply=self.said.append, clock=replica.clock, limits=limits, held_up=lambda _: None)
        self._replica = replica

    def call(self, number: int, *, key: bytes = KEY, entry_bytes_max: int = 1_000) -> Caller:
        caller = Caller(number, key, entry_bytes_max=entry_bytes_max, stream=self.stream)
        self.stream.callers[number] = caller
        self._replica.fills.look_up(caller)
        self._replica.fills.flush()
        return caller

    def told(self, caller: Caller) -> list[CacheReply]:
        return [reply for reply in self.said if caller.call in _calls_of(reply) and not isinstance(reply, Watched)]

    def watched(self, caller: Caller) -> list[bool]:
        return [item.is_watched for item in self.said if isinstance(item, Watched) and item.call == caller.call]

    def answer(self, caller: Caller) -> bytes:
        return b"".join(reply.chunk for reply in self.told(caller) if isinstance(reply, JoinChunk))


class Replica:
    """Fills with everything around them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.desk = Desk()
        self.counts = Counts()
        self.limits = limits or Limits()
        self.fills = Fills(keeper=self.desk, clock=self.clock, limits=self.limits, counts=self.counts)

    def edge(self) -> Edge:
        return Edge(self, self.limits)

    def store_says(self, answer: Answer) -> None:
        key, then = self.desk.asked.pop(0)
        then(key, answer)

    def head(self, caller: Caller, *, ttl_s: int = 60) -> None:
        self.fills.head(caller, FillHead(caller.call, 200, HEADERS, ttl_s))

    def speak(self, caller: Caller, *chunks: bytes, outcome: Outcome | None = None) -> None:
        """A filler's answer, from its head on."""
        self.head(caller)
        for chunk in chunks:
            self.fills.chunks(caller, [chunk])
        if outcome is not None:
            self.fills.end(caller, outcome, '{"usage":1}')

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.fills.tick()


@pytest.fixture
def replica() -> Replica:
    return Replica()


def test_a_stored_answer_is_a_hit_for_all_who_ask_meanwhile(replica: Replica) -> None:
    edge = replica.edge()
    first, second = edge.call(1), edge.call(2)

    replica.store_says(STORED)

    assert replica.desk.asked == []
    assert edge.told(first) == [Hit(1, 200, HEADERS, (b"stored",), "{}", 60)]
    assert edge.told(second) == [Hit(2, 200, HEADERS, (b"stored",), "{}", 60)]
    assert len(replica.fills) == 0


def test_of_many_who_ask_one_fills_and_the_others_join(replica: Replica) -> None:
    edge = replica.edge()
    callers = [edge.call(number) for number in range(100)]

    replica.store_says("ours")

    assert [edge.told(caller) for caller in callers] == [[Fill(0)], *([Join(number)] for number in range(1, 100))]


def test_joiners_get_head_chunks_and_end_as_they_come(replica: Replica) -> None:
    one, other = replica.edge(), replica.edge()
    filler, joiner = one.call(1), other.call(1)
    replica.store_says("ours")

    replica.speak(filler, b"a", b"b", outcome="whole")

    assert other.told(joiner) == [
        Join(1),
        JoinHead((1,), 200, HEADERS),
        JoinChunk((1,), b"a"),
        JoinChunk((1,), b"b"),
        JoinEnd((1,), "whole", '{"usage":1}'),
    ]
    assert one.told(filler) == [Fill(1)]


def test_who_joins_late_gets_all_bytes_from_the_first_on(replica: Replica) -> None:
    one, other = replica.edge(), replica.edge()
    filler = one.call(1)
    replica.store_says("ours")
    replica.speak(filler, b"a", b"b")

    joiner = other.call(1)
    replica.fills.chunks(filler, [b"c"])

    assert other.told(joiner)[:2] == [Join(1), JoinHead((1,), 200, HEADERS)]
    assert other.answer(joiner) == b"abc"


def test_an_edge_hears_a_chunk_once_however_many_of_its_requests_joined(replica: Replica) -> None:
    one, other = replica.edge(), replica.edge()
    filler = one.call(1)
    for number in range(50):
        other.call(number)
    replica.store_says("ours")

    replica.speak(filler, b"a", outcome="whole")

    assert [reply for reply in other.said if not isinstance(reply, Join)] == [
        JoinHead(tuple(range(50)), 200, HEADERS),
        JoinChunk(tuple(range(50)), b"a"),
        JoinEnd(tuple(range(50)), "whole", '{"usage":1}'),
    ]


def test_a_whole_answer_is_stored_with_its_chunks_its_ttl_and_its_facts(replica: Replica) -> None:
    filler = replica.edge().call(1)
    replica.store_says("ours")

    replica.speak(filler, b"a", b"b", outcome="whole")

    [(key, found, _)] = replica.desk.kept
    assert key == KEY
    assert found == Found(Entry(200, HEADERS, (b"a", b"b"), '{"usage":1}'), 60_000)


def test_an_answer_on_its_way_to_the_store_is_a_hit_already(replica: Replica) -> None:
    edge = replica.edge()
    filler = edge.call(1)
    replica.store_says("ours")
    replica.speak(filler, b"a", outcome="whole")

    asker = edge.call(2)

    assert edge.told(asker) == [Hit(2, 200, HEADERS, (b"a",), '{"usage":1}', 60)]
    assert replica.desk.asked == []


def test_once_stored_nothing_of_a_fill_is_held(replica: Replica) -> None:
    edge = replica.edge()
    filler = edge.call(1)
    replica.store_says("ours")
    replica.speak(filler, b"a", outcome="whole")

    replica.desk.kept[0][2]()

    assert (len(replica.fills), replica.fills.held_bytes, edge.stream.callers) == (0, 0, {})
    assert replica.desk.released == []


@pytest.mark.parametrize("outcome", ["failed", "uncacheable"])
def test_when_a_filler_has_no_answer_exactly_one_joiner_fills(replica: Replica, outcome: Outcome) -> None:
    edge = replica.edge()
    filler, *joiners = [edge.call(number) for number in range(4)]
    replica.store_says("ours")

    replica.fills.end(filler, outcome, "")

    assert [edge.told(joiner) for joiner in joiners] == [[Join(1), Fill(1)], [Join(2)], [Join(3)]]
    assert replica.desk.released == []


def test_a_filler_that_fails_between_head_and_first_byte_is_replaced(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")
    replica.head(filler)

    replica.fills.end(filler, "failed", "")

    assert edge.told(joiner) == [Join(2), Fill(2)]


def test_who_has_bytes_when_its_filler_fails_gets_a_broken_end_and_never_others(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")
    replica.speak(filler, b"a")

    replica.fills.end(filler, "failed", "")
    second = edge.call(3)
    replica.store_says("ours")
    replica.speak(second, b"x", outcome="whole")

    assert edge.told(joiner) == [
        Join(2),
        JoinHead((2,), 200, HEADERS),
        JoinChunk((2,), b"a"),
        JoinEnd((2,), "failed", ""),
    ]


def test_a_fill_that_fails_with_nobody_waiting_gives_its_lease_back(replica: Replica) -> None:
    filler = replica.edge().call(1)
    replica.store_says("ours")

    replica.fills.end(filler, "failed", "")

    assert replica.desk.released == [KEY]
    assert len(replica.fills) == 0


def test_a_silent_filler_is_doubted_after_two_seconds_by_exactly_one(replica: Replica) -> None:
    edge = replica.edge()
    _, *joiners = [edge.call(number) for number in range(3)]
    replica.store_says("ours")

    replica.pass_time(1.9)
    before = [edge.told(joiner) for joiner in joiners]
    replica.pass_time(0.1)
    replica.pass_time(1.9)

    assert before == [[Join(1)], [Join(2)]]
    assert [edge.told(joiner) for joiner in joiners] == [[Join(1), Fill(1)], [Join(2)]]


def test_a_silent_filler_is_doubted_by_one_at_another_edge_if_there_is_one(replica: Replica) -> None:
    frozen, other = replica.edge(), replica.edge()
    frozen.call(1)
    replica.store_says("ours")
    neighbour, elsewhere = frozen.call(2), other.call(1)

    replica.pass_time(2.0)

    assert frozen.told(neighbour) == [Join(2)]
    assert other.told(elsewhere) == [Join(1), Fill(1)]


def test_a_filler_that_speaks_is_not_doubted(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.pass_time(1.9)
    replica.head(filler)
    replica.pass_time(1.9)

    assert edge.told(joiner) == [Join(2)]


@pytest.mark.parametrize("speaker", [0, 1])
def test_whoever_speaks_first_serves_those_who_wait(replica: Replica, speaker: int) -> None:
    edge = replica.edge()
    silent, second, joiner = (edge.call(number) for number in range(3))
    replica.store_says("ours")
    replica.pass_time(2)

    replica.speak((silent, second)[speaker], b"mine", outcome="whole")
    replica.speak((second, silent)[speaker], b"other", outcome="whole")

    assert edge.answer(joiner) == b"mine"
    assert [found.entry.chunks for _, found, _ in replica.desk.kept] == [(b"mine",)]


def test_a_joiner_keeps_a_filler_that_pauses_in_the_middle(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")
    replica.speak(filler, b"a")

    replica.pass_time(10)
    replica.fills.chunks(filler, [b"b"])
    replica.fills.end(filler, "whole", "")

    assert edge.answer(joiner) == b"ab"
    assert edge.told(joiner)[-1] == JoinEnd((2,), "whole", "")


def test_who_comes_while_all_are_silent_fills_at_once(replica: Replica) -> None:
    edge = replica.edge()
    filler = edge.call(1)
    replica.store_says("ours")
    replica.speak(filler, b"a")
    replica.pass_time(2)

    newcomer = edge.call(2)

    assert edge.told(newcomer) == [Fill(2)]


def test_a_filler_that_never_speaks_again_is_forgotten(replica: Replica) -> None:
    edge = replica.edge()
    edge.call(1)
    replica.store_says("ours")

    replica.pass_time(replica.limits.abandoned_s)

    assert len(replica.fills) == 0
    assert replica.desk.released == [KEY]
    assert edge.stream.callers == {}


def test_after_many_failures_in_a_row_those_who_wait_go_on_alone() -> None:
    replica = Replica(Limits(failures_max=3))
    edge = replica.edge()
    callers = [edge.call(number) for number in range(6)]
    replica.store_says("ours")

    for caller in callers[:3]:
        replica.fills.end(caller, "failed", "")

    assert [edge.told(caller)[-1] for caller in callers[3:]] == [Miss(3), Miss(4), Miss(5)]
    assert len(replica.fills) == 0


def test_an_answer_that_ends_uncacheable_is_whole_for_joiners_and_not_stored(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.speak(filler, b"a", outcome="uncacheable")

    assert edge.told(joiner)[-1] == JoinEnd((2,), "whole", '{"usage":1}')
    assert replica.desk.kept == []
    assert replica.desk.released == [KEY]


def test_an_empty_answer_is_an_answer(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.speak(filler, outcome="whole")

    assert edge.told(joiner)[1:] == [JoinHead((2,), 200, HEADERS), JoinEnd((2,), "whole", '{"usage":1}')]
    assert len(replica.desk.kept) == 1


def test_an_answer_over_the_bound_is_relayed_to_its_end_and_not_stored(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1, entry_bytes_max=5), edge.call(2)
    replica.store_says("ours")

    replica.speak(filler, b"abcd", b"efgh", b"ijkl", outcome="whole")

    assert edge.answer(joiner) == b"abcdefghijkl"
    assert edge.told(joiner)[-1] == JoinEnd((2,), "whole", '{"usage":1}')
    assert replica.desk.kept == []
    assert replica.fills.held_bytes == 0


def test_an_answer_in_one_item_is_stored_and_the_key_is_free_again(replica: Replica) -> None:
    filler = replica.edge().call(1)
    replica.store_says("ours")

    replica.fills.whole(filler, FillWhole(1, 200, HEADERS, (b"a", b"", b"b"), 60, "{}"))
    [(key, found, kept)] = replica.desk.kept
    held_bytes = replica.fills.held_bytes
    kept()

    assert (key, found) == (KEY, Found(Entry(200, HEADERS, (b"a", b"b"), "{}"), 60_000))
    assert held_bytes == found.entry.size_bytes
    assert replica.fills.held_bytes == 0
    assert len(replica.fills) == 0


def test_an_answer_in_one_item_over_the_bound_is_not_stored(replica: Replica) -> None:
    filler = replica.edge().call(1, entry_bytes_max=5)
    replica.store_says("ours")

    replica.fills.whole(filler, FillWhole(1, 200, HEADERS, (b"abc", b"def"), 60))

    assert replica.desk.kept == []
    assert replica.desk.released == [KEY]
    assert replica.counts.oversized == 1
    assert replica.fills.held_bytes == 0


def test_an_answer_in_one_item_of_who_does_not_fill_means_nothing(replica: Replica) -> None:
    edge = replica.edge()
    edge.call(1)
    joiner = edge.call(2)
    replica.store_says("ours")

    replica.fills.whole(joiner, FillWhole(2, 200, HEADERS, (b"a",), 60))

    assert replica.desk.kept == []
    assert len(replica.fills) == 1


def test_who_comes_too_late_for_the_first_byte_goes_on_alone(replica: Replica) -> None:
    edge = replica.edge()
    filler = edge.call(1, entry_bytes_max=5)
    replica.store_says("ours")
    replica.speak(filler, b"abcdefgh")

    newcomer = edge.call(2)

    assert edge.told(newcomer) == [Miss(2)]


def test_all_fills_together_hold_no_more_than_their_bound() -> None:
    replica = Replica(Limits(held_bytes_max=10))
    edge = replica.edge()
    one, other = edge.call(1, key=b"a"), edge.call(2, key=b"b")
    replica.store_says("ours")
    replica.store_says("ours")

    replica.speak(one, b"12345678")
    replica.speak(other, b"12345678")

    assert replica.fills.held_bytes == 8


def test_an_answer_without_ttl_is_relayed_and_not_stored(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.head(filler, ttl_s=0)
    replica.fills.chunks(filler, [b"a"])
    replica.fills.end(filler, "whole", "")

    assert edge.answer(joiner) == b"a"
    assert replica.desk.kept == []


def test_a_filler_is_told_when_others_begin_and_stop_to_wait(replica: Replica) -> None:
    edge = replica.edge()
    filler = edge.call(1)
    replica.store_says("ours")
    waiting, following = edge.call(2), edge.call(3)

    replica.fills.leave(waiting)
    replica.speak(filler, b"a")
    replica.fills.leave(following)

    assert edge.watched(filler) == [True, False]


def test_a_joiner_that_leaves_hears_no_more(replica: Replica) -> None:
    edge = replica.edge()
    filler, leaver, stayer = edge.call(1), edge.call(2), edge.call(3)
    replica.store_says("ours")
    replica.speak(filler, b"a")

    replica.fills.leave(leaver)
    replica.fills.chunks(filler, [b"b"])

    assert edge.answer(leaver) == b"a"
    assert edge.answer(stayer) == b"ab"


def test_a_filler_that_leaves_has_failed(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.fills.leave(filler)

    assert edge.told(joiner) == [Join(2), Fill(2)]


def test_a_lease_is_given_back_when_all_left_before_the_store_answered(replica: Replica) -> None:
    edge = replica.edge()
    caller = edge.call(1)
    replica.fills.leave(caller)

    replica.store_says("ours")

    assert edge.said == []
    assert replica.desk.released == [KEY]
    assert len(replica.fills) == 0


def test_without_a_store_requests_still_share_one_call(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("down")

    replica.speak(filler, b"a", outcome="whole")

    assert edge.told(filler) == [Fill(1, is_degraded=True)]
    assert edge.told(joiner)[0] == Join(2, is_degraded=True)
    assert edge.answer(joiner) == b"a"


def test_only_fills_that_hold_a_lease_renew_one(replica: Replica) -> None:
    edge = replica.edge()
    for number, key in enumerate((b"a", b"b", b"c")):
        edge.call(number, key=key)
    replica.store_says("ours")
    replica.store_says("theirs")
    replica.store_says("ours")

    replica.fills.lease_lost(b"c")

    assert replica.fills.leased() == [b"a"]


def test_keys_under_way_are_bounded() -> None:
    replica = Replica(Limits(fills_max=1))
    edge = replica.edge()
    edge.call(1, key=b"a")

    refused = edge.call(2, key=b"b")

    assert edge.told(refused) == [Miss(2, is_degraded=True)]
    assert edge.stream.callers.keys() == {1}


def test_chunks_of_nobody_are_ignored(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")

    replica.fills.chunks(filler, [b"before its head"])
    replica.fills.chunks(joiner, [b"not the filler"])
    replica.fills.end(joiner, "whole", "")

    assert edge.told(joiner) == [Join(2)]


def test_what_happened_is_counted(replica: Replica) -> None:
    edge = replica.edge()
    filler, joiner = edge.call(1), edge.call(2)
    replica.store_says("ours")
    replica.fills.end(filler, "failed", "")
    replica.speak(joiner, b"a", outcome="whole")
    edge.call(3)

    assert replica.counts.lookups == {"hit": 1, "fill": 2, "join": 1, "miss": 0}
    assert replica.counts.fills == {"whole": 1, "uncacheable": 0, "failed": 1}
    assert replica.counts.takeovers == 1


def _calls_of(reply: CacheReply) -> tuple[int, ...]:
    return reply.calls if isinstance(reply, JoinHead | JoinChunk | JoinEnd) else (reply.call,)
