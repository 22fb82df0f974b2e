"""Fills under any order of events: nobody gets a mixture, nobody is forgotten, nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.cache.counts import Counts
from services.cache.fills import Answer, Fills
from services.cache.limits import Limits
from services.cache.store.answers import Found
from services.cache.stream import Caller, Stream
from services.contracts.cache.values import (
    CacheReply,
    Fill,
    FillHead,
    Hit,
    Join,
    JoinChunk,
    JoinEnd,
    JoinHead,
    Miss,
    Watched,
)
from tests.fakes.clock import FakeClock

KEY = b"k" * 32


class Seat:
    """One caller: what it was told, and, once it fills, what it has said."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.told: list[CacheReply] = []
        self.spoken = b""
        self.is_watched = False
        self.has_ended = False

    @property
    def is_filling(self) -> bool:
        return any(isinstance(reply, Fill) for reply in self.told) and not self.has_ended

    @property
    def is_over(self) -> bool:
        return self.has_ended or any(isinstance(reply, Hit | Miss | JoinEnd) for reply in self.told)

    @property
    def got(self) -> bytes:
        return b"".join(reply.chunk for reply in self.told if isinstance(reply, JoinChunk))


class FillsMachine(RuleBasedStateMachine):
    """Two edges, one key, and a store that answers when it likes."""

    @initialize()
    def start(self) -> None:
        self.clock = FakeClock()
        self.asked: list[tuple[bytes, Callable[[bytes, Answer], None]]] = []
        self.keeping: list[Callable[[], None]] = []
        self.stored: Found | None = None
        self.leases = 0
        limits = Limits(failures_max=3, replay_bytes_max=6, abandoned_s=30)
        self.fills = Fills(keeper=self, clock=self.clock, limits=limits, counts=Counts())
        self.streams = [
            Stream(reply=self._hear(edge), clock=self.clock, limits=limits, held_up=lambda _: None) for edge in range(2)
        ]
        self.seats: list[Seat] = []
        self.answers: set[bytes] = set()

    def ask(self, key: bytes, then: Callable[[bytes, Answer], None]) -> None:
        self.asked.append((key, then))

    def keep(self, key: bytes, found: Found, then: Callable[[], None]) -> None:
        self.stored = found
        self.leases = 0
        self.keeping.append(then)

    def release(self, key: bytes) -> None:
        self.leases = 0

    @rule(edge=st.integers(0, 1), entry_bytes_max=st.sampled_from([4, 100]))
    def look_up(self, edge: int, entry_bytes_max: int) -> None:
        stream = self.streams[edge]
        caller = Caller(len(self.seats), KEY, entry_bytes_max=entry_bytes_max, stream=stream)
        self.seats.append(Seat(caller))
        stream.callers[caller.call] = caller
        self.fills.look_up(caller)
        self.fills.flush()

    @precondition(lambda self: self.asked)
    @rule(is_down=st.booleans())
    def store_answers(self, is_down: bool) -> None:
        key, then = self.asked.pop(0)
        if is_down:
            then(key, "down")
        elif self.stored is not None:
            then(key, self.stored)
        else:
            self.leases = 1
            then(key, "ours")

    @precondition(lambda self: self.keeping)
    @rule()
    def store_has_kept(self) -> None:
        self.keeping.pop(0)()

    @precondition(lambda self: any(seat.is_filling for seat in self.seats))
    @rule(choice=st.integers(0, 9), chunk=st.binary(min_size=1, max_size=3))
    def speak(self, choice: int, chunk: bytes) -> None:
        seat = self._filling(choice)
        if not seat.spoken:
            self.fills.head(seat.caller, FillHead(seat.caller.call, 200, (), 60))
        seat.spoken += bytes([seat.caller.call % 256]) + chunk
        self.fills.chunks(seat.caller, [bytes([seat.caller.call % 256]) + chunk])

    @precondition(lambda self: any(seat.is_filling for seat in self.seats))
    @rule(choice=st.integers(0, 9), outcome=st.sampled_from(["whole", "uncacheable", "failed"]))
    def end(self, choice: int, outcome: str) -> None:
        seat = self._filling(choice)
        if outcome != "failed":
            self.answers.add(seat.spoken)
        seat.has_ended = True
        self.fills.end(seat.caller, outcome, "")

    @precondition(lambda self: any(not seat.is_over for seat in self.seats))
    @rule(choice=st.integers(0, 9))
    def leave(self, choice: int) -> None:
        seats = [seat for seat in self.seats if not seat.is_over]
        seat = seats[choice % len(seats)]
        seat.has_ended = True
        self.fills.leave(seat.caller)

    @rule(edge=st.integers(0, 1))
    def lose_edge(self, edge: int) -> None:
        callers = list(self.streams[edge].callers.values())
        lost = [seat for seat in self.seats if seat.caller in callers]
        filling = [seat for seat in lost if seat.is_filling]
        self.fills.leave_together(callers)
        assert [seat for seat in lost if seat.is_filling] == filling, "a fill was handed over to a lost request"
        for seat in lost:
            seat.has_ended = True

    @rule(seconds=st.sampled_from([0.5, 2.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.fills.tick()

    @invariant()
    def bytes_are_of_one_answer_and_from_its_first_one_on(self) -> None:
        for seat in self.seats:
            if seat.got:
                filler = self.seats[seat.got[0]]
                assert filler.spoken.startswith(seat.got)

    @invariant()
    def nobody_is_told_what_cannot_follow(self) -> None:
        for seat in self.seats:
            kinds = [type(reply) for reply in seat.told]
            assert kinds.count(Join) <= 1
            assert kinds.count(JoinHead) <= 1
            assert not (Fill in kinds and JoinHead in kinds)
            assert JoinChunk not in kinds or kinds.index(JoinHead) < kinds.index(JoinChunk)
            ends = [kind for kind in kinds if kind in (Hit, Miss, JoinEnd)]
            assert len(ends) <= 1
            assert not ends or kinds[-1] is ends[0]

    @invariant()
    def a_whole_end_follows_a_whole_answer(self) -> None:
        for seat in self.seats:
            if any(isinstance(reply, JoinEnd) and reply.outcome == "whole" for reply in seat.told):
                assert seat.got in self.answers

    @invariant()
    def whoever_waits_is_waited_for(self) -> None:
        """A caller that has no answer yet has a filler under way, or the store is being asked."""
        waiting = [seat for seat in self.seats if seat.told and not seat.is_over and not seat.is_filling]
        if any(not seat.got for seat in waiting):
            assert self.asked or any(seat.is_filling for seat in self.seats)

    def teardown(self) -> None:
        for seat in self.seats:
            if not seat.is_over:
                self.fills.leave(seat.caller)
        while self.asked:
            self.store_answers(is_down=False)
        while self.keeping:
            self.keeping.pop(0)()

        assert len(self.fills) == 0
        assert self.fills.held_bytes == 0
        assert self.fills._roles == {}
        assert self.leases == 0
        assert [stream.callers for stream in self.streams] == [{}, {}]

    def _filling(self, choice: int) -> Seat:
        filling = [seat for seat in self.seats if seat.is_filling]
        return filling[choice % len(filling)]

    def _hear(self, edge: int) -> Callable[[CacheReply], None]:
        def hear(reply: CacheReply) -> None:
            calls = reply.calls if isinstance(reply, JoinHead | JoinChunk | JoinEnd) else (reply.call,)
            for call in calls:
                seat = self.seats[call]
                assert seat.caller.stream is self.streams[edge]
                if isinstance(reply, Watched):
                    assert seat.is_watched is not reply.is_watched
                    seat.is_watched = reply.is_watched
                else:
                    seat.told.append(reply)

        return hear


TestFills = FillsMachine.TestCase
TestFills.settings = hypothesis.settings(max_examples=60, stateful_step_count=40, deadline=None)
