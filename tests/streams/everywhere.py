"""
Everywhere: one stream split, and cut, at each of its bytes.

Where a chunk ends in a stream says nothing, so a split one must come out as it went in. A cut one must not come out as
whole anywhere, but where closing is also the proper end: there the dialect's own end decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.fakes import faults
from tests.fakes.providers.streams import Spoken, one
from tests.streams.listeners import reads
from tests.streams.matrix import UNCACHED
from tests.streams.stage import Asked, Stage
from tests.streams.told import CUT, is_proper, told_in


@dataclass(frozen=True)
class Outcome:
    """What came of one position. `problem`: empty if it came out as it must."""

    position: int
    is_whole: bool
    problem: str
    asked: Asked


def split_everywhere(stage: Stage, spoken: Spoken) -> list[Outcome]:
    """Two chunks."""
    body = one(spoken.events)

    def at(position: int) -> Outcome:
        asked = stage.ask(f"split {spoken.name} {position}", faults.split(position), spoken, reads, UNCACHED)
        is_same = asked.heard.body == body and asked.heard.is_whole
        return Outcome(position, asked.heard.is_whole, "" if is_same else f"heard {asked.heard.body!r}", asked)

    return [at(position) for position in range(1, len(body))]


def cut_everywhere(stage: Stage, spoken: Spoken) -> list[Outcome]:
    """
    In chunks: never whole, always told. All ask for one key of the cache, one after the other, so one that was kept
    would be a hit.
    """
    body = one(spoken.events)
    key = {"cf-aig-cache-key": f"cut {spoken.name}"}

    def at(position: int) -> Outcome:
        asked = stage.ask(f"cut {spoken.name} {position}", faults.cut_at(position), spoken, reads, key)
        return _judged(asked, position, body[:position], is_whole=False)

    return [at(position) for position in range(len(body) + 1)]


def closed_everywhere(stage: Stage, spoken: Spoken) -> list[Outcome]:
    """Without framing: whole if the dialect's own end has come."""
    body = one(spoken.events)

    def at(position: int) -> Outcome:
        asked = stage.ask(f"closed {spoken.name} {position}", faults.closed_at(position), spoken, reads)
        return _judged(asked, position, body[:position], is_whole=spoken.has_ended(body[:position]))

    return [at(position) for position in range(len(body) + 1)]


def _judged(asked: Asked, position: int, content: bytes, *, is_whole: bool) -> Outcome:
    answer = asked.heard
    return Outcome(position, answer.is_whole, "; ".join(_faults(asked, content, is_whole=is_whole)), asked)


def _faults(asked: Asked, content: bytes, *, is_whole: bool) -> Iterator[str]:
    answer, spoken = asked.heard, asked.spoken
    if answer.is_whole is not is_whole:
        yield f"is{'' if answer.is_whole else ' not'} whole"
    if answer.header("cf-aig-cache-status") != "MISS":
        yield "came from the cache"
    if not answer.body.startswith(content):
        yield f"heard {answer.body[-200:]!r}"
        return
    rest = answer.body[len(content) :]
    try:
        told = told_in(spoken, rest)
    except ValueError:
        yield f"told {rest!r}"
        return
    if (told is None) is not is_whole or (told is not None and not is_proper(spoken, told, CUT)):
        yield f"told {rest!r}"


def problems(outcomes: Iterable[Outcome]) -> list[str]:
    """Of those that came out otherwise than they must."""
    return [f"{each.asked.case}: {each.problem}" for each in outcomes if each.problem]
