"""When the breaker of a stream opens, and what closes it: time is a number here."""

from __future__ import annotations

import math

import pytest

from services.kit.rpc.outstanding import TICK_S
from services.kit.rpc.silence import Silence, Verdict


class Watch:
    """Ticks a silence along, every 10 ms, as the stream does."""

    def __init__(self, silence: Silence) -> None:
        self.silence = silence
        self.now_s = 100.0
        silence.started(self.now_s)

    def owe(self) -> None:
        self.silence.owed(self.now_s)

    def hear(self, *, is_still_owed: bool = False) -> None:
        self.silence.heard(is_still_owed=is_still_owed)

    def echo(self, probe: int) -> bool:
        return self.silence.echoed(probe, self.now_s)

    def wait(self, seconds: float) -> list[tuple[int, Verdict]]:
        """What was said on the way, with the milliseconds after which it was."""
        said: list[tuple[int, Verdict]] = []
        for tick in range(1, round(seconds / TICK_S) + 1):
            self.now_s += TICK_S
            verdict = self.silence.tick(self.now_s)
            if verdict != "wait":
                said.append((tick * 10, verdict))
        return said

    def be_late(self, seconds: float) -> Verdict:
        """The loop was blocked: one tick, much later."""
        self.now_s += seconds
        return self.silence.tick(self.now_s)


@pytest.fixture
def watch() -> Watch:
    return Watch(Silence())


def test_silence_is_no_fault_while_nothing_is_owed(watch: Watch) -> None:
    said = watch.wait(10)

    assert said == []
    assert not watch.silence.is_watched


def test_a_quiet_stream_is_asked_at_half_of_the_time_and_given_up_at_all_of_it(watch: Watch) -> None:
    watch.owe()

    said = watch.wait(0.26)

    assert said == [(130, "probe"), (250, "open")]
    assert watch.silence.is_open


def test_anything_that_comes_starts_the_time_anew(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.24)

    watch.hear(is_still_owed=True)
    said = watch.wait(0.24)

    assert said == [(130, "probe")]
    assert not watch.silence.is_open


def test_the_echo_of_an_early_probe_keeps_the_breaker_closed(watch: Watch) -> None:
    watch.owe()

    for _ in range(20):
        said = watch.wait(0.13)
        watch.hear(is_still_owed=True)
        assert said == [(130, "probe")]

    assert not watch.silence.is_open


def test_time_before_something_was_owed_does_not_count(watch: Watch) -> None:
    watch.wait(10)

    watch.owe()
    said = watch.wait(0.24)

    assert said == [(130, "probe")]


def test_a_second_item_owed_does_not_start_the_time_anew(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.20)

    watch.owe()
    said = watch.wait(0.06)

    assert said == [(50, "open")]


def test_a_blocked_loop_counts_as_one_tick(watch: Watch) -> None:
    watch.owe()

    verdicts = [watch.be_late(1.0) for _ in range(12)]

    assert verdicts == ["wait"] * 12


def test_an_open_breaker_probes_four_times_a_second(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.25)

    said = watch.wait(1.0)

    assert said == [(250, "probe"), (500, "probe"), (750, "probe"), (1000, "probe")]


def test_only_the_newest_probe_answered_in_time_closes_it(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.25)
    first = watch.silence.probe
    watch.wait(0.25)
    newest = watch.silence.probe

    is_closed_by_an_old_one = watch.echo(first)
    watch.wait(0.09)
    is_closed_in_time = watch.echo(newest)

    assert not is_closed_by_an_old_one
    assert is_closed_in_time
    assert not watch.silence.is_open


def test_a_probe_answered_late_does_not_close_it(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.25)

    watch.wait(0.11)
    is_closed = watch.echo(watch.silence.probe)

    assert not is_closed
    assert watch.silence.is_open


def test_other_messages_do_not_close_it(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.25)

    watch.hear()

    assert watch.silence.is_open
    assert watch.silence.is_watched


def test_the_echo_of_a_probe_from_before_it_opened_does_not_close_it(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.13)
    early = watch.silence.probe
    watch.wait(0.12)

    is_closed = watch.echo(early)

    assert not is_closed


def test_an_open_breaker_stays_open_on_a_new_stream_until_a_probe_is_answered(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.25)
    old = watch.silence.probe

    watch.silence.started(watch.now_s)
    watch.silence.ask(watch.now_s)
    is_closed_by_the_old_one = watch.echo(old)
    is_closed = watch.echo(watch.silence.probe)

    assert not is_closed_by_the_old_one
    assert is_closed


def test_what_was_owed_on_an_old_stream_is_not_owed_on_a_new_one(watch: Watch) -> None:
    watch.owe()
    watch.wait(0.20)

    watch.silence.started(watch.now_s)
    said = watch.wait(1.0)

    assert said == []


def test_endless_patience_never_asks_and_never_opens() -> None:
    watch = Watch(Silence(patience_s=math.inf))
    watch.owe()

    said = watch.wait(60)

    assert said == []
