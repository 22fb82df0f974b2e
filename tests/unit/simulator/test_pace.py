"""Answers as steps, with what the knobs break in them."""

from __future__ import annotations

from services.simulator.knobs import Knobs, Position
from services.simulator.pace import MALFORMED_EVENT, Pause, Send, Stop, paced

EVENTS = [b"one", b"two", b"three"]


def test_an_answer_without_knobs_is_its_pieces() -> None:
    assert list(paced(EVENTS, Knobs(), is_stream=True)) == [Send(b"one"), Send(b"two"), Send(b"three")]


def test_pauses_stand_between_pieces() -> None:
    steps = list(paced(EVENTS[:2], Knobs(chunk_delay_ms=5), is_stream=True))

    assert steps == [Send(b"one"), Pause(5), Send(b"two")]


def test_a_stop_after_events_ends_the_steps() -> None:
    cut = list(paced(EVENTS, Knobs(cut_after=Position(2, "events")), is_stream=True))
    stall = list(paced(EVENTS, Knobs(stall_after=Position(0, "events")), is_stream=True))
    at_the_end = list(paced(EVENTS, Knobs(cut_after=Position(3, "events")), is_stream=True))

    assert cut == [Send(b"one"), Send(b"two"), Stop("cut")]
    assert stall == [Stop("stall")]
    assert at_the_end == [Send(b"one"), Send(b"two"), Send(b"three"), Stop("cut")]


def test_a_stop_after_bytes_cuts_the_piece() -> None:
    steps = list(paced(EVENTS, Knobs(stall_after=Position(5, "bytes")), is_stream=False))

    assert steps == [Send(b"one"), Send(b"tw"), Stop("stall")]


def test_a_malformed_event_belongs_to_streams_only() -> None:
    knobs = Knobs(malformed_after=1)

    assert list(paced(EVENTS[:2], knobs, is_stream=True)) == [Send(b"one"), Send(MALFORMED_EVENT), Send(b"two")]
    assert list(paced(EVENTS[:1], knobs, is_stream=False)) == [Send(b"one")]
