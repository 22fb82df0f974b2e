"""The journal's bounds."""

from __future__ import annotations

from services.simulator.journal import BODY_BYTES_MAX, Journal
from tests.fakes.clock import FakeClock


def test_the_oldest_call_is_forgotten_beyond_the_bound_and_still_counted(clock: FakeClock) -> None:
    journal = Journal(clock=clock, calls_max=2)
    for _ in range(3):
        journal.arrived("s", "POST", "/x", [])

    told = journal.told("s")

    assert told["count"] == 3
    assert [call["number"] for call in told["calls"]] == [2, 3]


def test_a_session_without_calls_is_forgotten_whole(clock: FakeClock) -> None:
    journal = Journal(clock=clock, calls_max=1)
    journal.arrived("old", "POST", "/x", [])

    journal.arrived("new", "POST", "/x", [])

    assert journal.told("old") == {"session": "old", "count": 0, "calls": []}


def test_bodies_are_bounded_one_by_one_and_together(clock: FakeClock) -> None:
    journal = Journal(clock=clock, kept_bytes_max=100)
    first = journal.arrived("s", "POST", "/x", [])
    journal.read(first, b"a" * 60)
    second = journal.arrived("s", "POST", "/x", [])

    journal.read(second, b"b" * 60)

    assert [call["body"] for call in journal.told("s")["calls"]] == ["b" * 60]

    journal.read(journal.arrived("big", "POST", "/x", []), b"c" * (BODY_BYTES_MAX + 1))

    told = journal.told("big")["calls"][0]
    assert (len(told["body"]), told["body_size_bytes"]) == (BODY_BYTES_MAX, BODY_BYTES_MAX + 1)


def test_binary_bodies_are_told_in_base64(clock: FakeClock) -> None:
    journal = Journal(clock=clock)

    journal.read(journal.arrived("s", "POST", "/x", []), b"\xff\x00")

    assert journal.told("s")["calls"][0]["body_base64"] == "/wA="


def test_the_first_word_about_an_end_counts(clock: FakeClock) -> None:
    journal = Journal(clock=clock)
    call = journal.arrived("s", "POST", "/x", [])
    clock.advance(2)
    journal.ended(call, "client_gone")
    clock.advance(2)

    journal.ended(call, "done")

    told = journal.told("s")["calls"][0]
    assert (told["ended"], told["ended_at_s"] - told["arrived_at_s"]) == ("client_gone", 2.0)
