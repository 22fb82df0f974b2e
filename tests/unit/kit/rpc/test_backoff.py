"""How long a stream waits before it connects again."""

from __future__ import annotations

from services.kit.rpc.backoff import Backoff


def test_delays_double_from_a_tenth_of_a_second_to_two_seconds() -> None:
    backoff = Backoff(random=lambda: 0.0)

    delays_s = [backoff.next_s(stood_s=0) for _ in range(8)]

    assert delays_s == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]


def test_delays_are_drawn_from_their_upper_half_and_never_longer_than_two_seconds() -> None:
    backoff = Backoff(random=lambda: 0.999)

    delays_s = [round(backoff.next_s(stood_s=0), 1) for _ in range(8)]

    assert delays_s == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0]


def test_a_stream_that_stood_starts_the_count_anew() -> None:
    backoff = Backoff(random=lambda: 0.0)
    for _ in range(5):
        backoff.next_s(stood_s=0)

    assert backoff.next_s(stood_s=1.9) == 1.0
    assert backoff.next_s(stood_s=2.0) == 0.1


def test_the_delay_stays_finite_after_any_number_of_failures() -> None:
    backoff = Backoff(random=lambda: 0.5)

    for _ in range(10_000):
        delay_s = backoff.next_s(stood_s=0)

    assert delay_s == 1.5
