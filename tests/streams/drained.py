"""
Drained: an edge that is told to leave, has waited long enough, and cuts what still streams.

The process is started again on its own directory, since its log is read through it.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass

from tests.fakes import faults
from tests.fakes.providers.streams import CHAT, SPOKEN, Spoken, one
from tests.streams.listeners import reads
from tests.streams.stage import Asked, Row, Stage
from tests.streams.told import CUT, Told, is_proper, told_in


@dataclass(frozen=True)
class Drained:
    """One stream that was cut. `told`: None if it was not said, or said to nobody's understanding."""

    spoken: Spoken
    asked: Asked
    told: Told | None
    rows: list[Row]

    @property
    def is_as_expected(self) -> bool:
        is_cut = [(row["ended"], row["success"]) for row in self.rows] == [("cut", False)]
        return self.told is not None and not self.asked.heard.is_whole and is_cut


@dataclass(frozen=True)
class Waiting:
    """The request whose provider had not answered yet."""

    asked: Asked
    rows: list[Row]

    @property
    def is_as_expected(self) -> bool:
        answer = self.asked.heard
        is_refused = [(row["ended"], row["status_code"]) for row in self.rows] == [("refused", 503)]
        return answer.status == 503 and answer.is_whole and answer.header("retry-after") is not None and is_refused


def drain(stage: Stage) -> tuple[list[Drained], Waiting]:
    """Cut one stream of each kind, and one request without an answer."""
    streams: dict[str, Asked] = {}
    waiting: list[Asked] = []

    def stream(spoken: Spoken) -> None:
        streams[spoken.name] = stage.ask(f"drained {spoken.name}", faults.endless, spoken, reads)

    def wait() -> None:
        waiting.append(stage.ask("drained while waiting", faults.no_head, CHAT, reads))

    threads = [threading.Thread(target=stream, args=(spoken,)) for spoken in SPOKEN]
    threads.append(threading.Thread(target=wait))
    for thread in threads:
        thread.start()
    for case in [*(f"drained {spoken.name}" for spoken in SPOKEN), "drained while waiting"]:
        stage.wait_for_call(case)
    process = stage.narrows.processes["narrows"]
    process.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert process.wait() == 0, process.log_tail()
    process.start()
    process.wait_until_ready()
    stage.every_row()
    cut = [_cut(spoken, streams[spoken.name], stage) for spoken in SPOKEN]
    return cut, Waiting(waiting[0], stage.rows_of(waiting[0]))


def _cut(spoken: Spoken, asked: Asked, stage: Stage) -> Drained:
    rest, delta = asked.heard.body.removeprefix(one(spoken.first)), spoken.delta("tick")
    while rest.startswith(delta):
        rest = rest.removeprefix(delta)
    try:
        told = told_in(spoken, rest)
    except ValueError:
        told = None
    is_understood = told is not None and is_proper(spoken, told, CUT)
    return Drained(spoken, asked, told if is_understood else None, stage.rows_of(asked))
