"""
Together: two who ask the same at once, and one of them leaves, or the answer breaks for both.

Whoever asks first fetches the answer for the other. His leaving does not end it, nor does the other's; what breaks
breaks for both, and neither is given the bytes of another answer.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tests.fakes import faults
from tests.fakes.faults import Telling, chunked, chunks
from tests.fakes.origin import Call
from tests.fakes.providers.streams import Spoken, one
from tests.streams.listeners import reads
from tests.streams.stage import Asked, Listening, Stage
from tests.streams.told import CUT, is_proper, told_in


@dataclass
class Pair:
    """Who asked first, who joined, and how often the provider was called."""

    spoken: Spoken
    first: Asked
    second: Asked
    calls: int

    def is_whole(self, asked: Asked) -> bool:
        return asked.heard.is_whole and asked.heard.body == one(self.spoken.events)

    def is_told(self, asked: Asked) -> bool:
        """Broken where the answer broke, with the error said in the client's protocol."""
        half = one(self.spoken.half)
        if asked.heard.is_whole or not asked.heard.body.startswith(half):
            return False
        told = told_in(self.spoken, asked.heard.body[len(half) :])
        return told is not None and is_proper(self.spoken, told, CUT)


class _Halves:
    """Says half of a stream, and what comes then when it is told to."""

    def __init__(self, then: Telling) -> None:
        self.may_go_on = threading.Event()
        self._then = then

    def __call__(self, call: Call, spoken: Spoken) -> None:
        call.send(chunked(spoken) + chunks(spoken.half))
        assert self.may_go_on.wait(10)
        self._then(call, spoken)


def _rest(call: Call, spoken: Spoken) -> None:
    call.send(chunks(spoken.rest) + faults.LAST_CHUNK)


def _cut(call: Call, spoken: Spoken) -> None:
    call.close()


def first_leaves(stage: Stage, spoken: Spoken) -> Pair:
    """The first one leaves when the second one has bytes."""
    return _pair(stage, spoken, "first leaves", _Halves(_rest), leaver="first")


def second_leaves(stage: Stage, spoken: Spoken) -> Pair:
    return _pair(stage, spoken, "second leaves", _Halves(_rest), leaver="second")


def breaks_for_both(stage: Stage, spoken: Spoken) -> Pair:
    return _pair(stage, spoken, "breaks for both", _Halves(_cut), leaver="")


def _pair(stage: Stage, spoken: Spoken, name: str, telling: _Halves, *, leaver: str) -> Pair:
    case, have_half = f"{name} / {spoken.name}", {"first": threading.Event(), "second": threading.Event()}
    asked: dict[str, Asked] = {}

    def listening(who: str) -> Listening:
        def listen(one_of_them: Asked) -> None:
            one_of_them.send()
            one_of_them.hear_head()
            one_of_them.hear(len(one(spoken.half)))
            have_half[who].set()
            if who == leaver:
                assert have_half["second"].wait(10)
                one_of_them.leave()
            else:
                one_of_them.hear()

        return listen

    def ask(who: str) -> None:
        asked[who] = stage.ask(case, telling, spoken, listening(who))

    threads = {who: threading.Thread(target=ask, args=(who,)) for who in have_half}
    threads["first"].start()
    assert have_half["first"].wait(10)
    threads["second"].start()
    assert have_half["second"].wait(10)
    if leaver:
        threads[leaver].join()
    telling.may_go_on.set()
    for thread in threads.values():
        thread.join()
    return Pair(spoken, asked["first"], asked["second"], len(stage.calls[case]))


def ask_again(stage: Stage, pair: Pair) -> Asked:
    """The same question, of a provider that is well."""
    return stage.ask(pair.first.case, faults.whole, pair.spoken, reads)
