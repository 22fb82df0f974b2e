"""
Matrix: every fault in every form of stream, what must come of it, and what came of it.

An `End` is what a client can tell of its answer, what was booked, and whether the next one who asks the same is given
it from the cache. Each cell is asked twice: the second time of a provider that is well again.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fakes import faults
from tests.fakes.faults import Telling
from tests.fakes.providers.streams import Spoken, one
from tests.harness.http import Answer
from tests.streams import listeners
from tests.streams.listeners import reads
from tests.streams.stage import Asked, Listening, Row, Stage
from tests.streams.told import CUT, STALLED, Told, is_proper, told_in

SLOW = (60, 100_000)
UNREAD = (120, 100_000)
"""Deltas and bytes of text: more than the buffers between provider and client hold."""
_WAIT_S = 5.0
UNCACHED = {"cf-aig-skip-cache": "true"}
ONCE_MORE = {"cf-aig-max-attempts": "2", "cf-aig-retry-delay": "3000"}


@dataclass(frozen=True)
class End:
    """How an answer ended. `is_told`: the gateway has said so in-band. `ended`, `is_success`: as its row says."""

    is_whole: bool
    is_told: bool
    ended: str
    is_success: bool
    is_kept: bool


WHOLE = End(is_whole=True, is_told=False, ended="done", is_success=True, is_kept=True)
PASSED_ON = End(is_whole=True, is_told=False, ended="done", is_success=True, is_kept=False)
FAILED = End(is_whole=True, is_told=False, ended="done", is_success=False, is_kept=False)
TOLD = End(is_whole=False, is_told=True, ended="cut", is_success=False, is_kept=False)
TOLD_STALLED = End(is_whole=False, is_told=True, ended="stalled", is_success=False, is_kept=False)
BROKEN = End(is_whole=False, is_told=False, ended="cut", is_success=False, is_kept=False)
BROKEN_STALLED = End(is_whole=False, is_told=False, ended="stalled", is_success=False, is_kept=False)
GONE = End(is_whole=False, is_told=False, ended="client_gone", is_success=False, is_kept=False)

Content = Callable[[Spoken], bytes]


def all_of_it(spoken: Spoken) -> bytes:
    return one(spoken.events)


def half_of_it(spoken: Spoken) -> bytes:
    return one(spoken.half)


def nothing(spoken: Spoken) -> bytes:
    return b""


@dataclass(frozen=True, eq=False)
class Fault:
    """
    One row. `content`: what the client must hear of the provider, to the octet and no more, once it is decoded.

    A client that leaves hears a beginning of it.
    """

    name: str
    meaning: str
    tell: Telling
    end: End
    content: Content
    listen: Listening = reads
    headers: dict[str, str] = field(default_factory=dict)
    is_alone: bool = False
    """Nothing else may ask the provider at the same time."""

    @property
    def is_left(self) -> bool:
        """The client does not stay to the end."""
        return self.end is GONE


def _up_to(*more: Callable[[Spoken], bytes]) -> Content:
    return lambda spoken: b"".join((half_of_it(spoken), *[each(spoken) for each in more]))


def _malformed(spoken: Spoken) -> bytes:
    """An array is read at its end, so all of it has passed by then."""
    return spoken.malformed + one(spoken.rest) if spoken.is_array else spoken.malformed.rstrip()


def _in_array(spoken: Spoken) -> bytes:
    return b"\n]" if spoken.is_array else b""


def _failure(spoken: Spoken) -> bytes:
    return spoken.failure


def _throttled(spoken: Spoken) -> bytes:
    return spoken.throttled


def _after(spoken: Spoken) -> bytes:
    return all_of_it(spoken) + spoken.after


def _coded_malformed(spoken: Spoken) -> bytes:
    return half_of_it(spoken) + (_malformed(spoken) if spoken.is_array else b"")


FAULTS: tuple[Fault, ...] = (
    Fault("none", "in chunks, ended by the last one", faults.whole, WHOLE, all_of_it),
    Fault("none, with a length", "`Content-Length` reached", faults.with_length, WHOLE, all_of_it),
    Fault(
        "none, ended by closing", "no framing; the dialect's own end came", faults.ended_by_closing, WHOLE, all_of_it
    ),
    Fault("split at every byte", "each byte of the body is a chunk", faults.byte_by_byte, WHOLE, all_of_it),
    Fault("cut", "closed between two events", faults.cut, TOLD, half_of_it),
    Fault(
        "cut within an event",
        "closed in the middle of one",
        faults.cut_within_an_event,
        TOLD,
        _up_to(lambda spoken: spoken.rest[0][:-9]),
    ),
    Fault("cut by a reset", "TCP reset between two events", faults.reset, TOLD, half_of_it),
    Fault("cut, with a length", "closed before `Content-Length` was reached", faults.cut_with_length, TOLD, half_of_it),
    Fault("cut, without framing", "closed before the dialect's own end", faults.cut_by_closing, TOLD, half_of_it),
    Fault("stall", "silent in the middle, for longer than `idleMs`", faults.stall, TOLD_STALLED, half_of_it),
    Fault("stall at once", "silent after the head", faults.stall_at_once, TOLD_STALLED, nothing),
    Fault(
        "malformed event",
        "one that is no JSON; more events and a proper end follow",
        faults.malformed,
        TOLD,
        _up_to(_malformed),
    ),
    Fault(
        "malformed event, in one piece",
        "all in one chunk with the proper end",
        faults.malformed_in_one_piece,
        TOLD,
        _up_to(_malformed),
    ),
    Fault("malformed framing", "a chunk's size that is no number", faults.malformed_framing, TOLD, half_of_it),
    Fault(
        "error event", "the provider's own, then its proper end", faults.failure, FAILED, _up_to(_failure, _in_array)
    ),
    Fault("error event, then cut", "the provider's own, then closed", faults.failure_and_cut, TOLD, _up_to(_failure)),
    Fault(
        "429 after start",
        "the provider's own event says so, then its proper end; a second attempt is allowed and not made",
        faults.throttled,
        FAILED,
        _up_to(_throttled, _in_array),
        headers=ONCE_MORE,
    ),
    Fault(
        "429 after start, as a head",
        "a second head with that status where a chunk should be",
        faults.throttled_by_another_head,
        TOLD,
        half_of_it,
        headers=ONCE_MORE,
    ),
    Fault(
        "trailing bytes",
        "what means nothing before the end, another answer behind it",
        faults.followed_by_more,
        WHOLE,
        _after,
    ),
    Fault(
        "trailing bytes, later",
        "another answer that nobody asked for",
        faults.followed_by_more_later,
        WHOLE,
        all_of_it,
        listeners.reads_and_rests,
        is_alone=True,
    ),
    Fault(
        "slow reader",
        "6 MB, not for the cache, are read with pauses in which the provider has to wait",
        faults.long(*SLOW),
        PASSED_ON,
        lambda spoken: one(spoken.long(*SLOW)),
        listeners.reads_slowly,
        headers=UNCACHED,
    ),
    Fault(
        "reader that never reads",
        "12 MB; given up after `idleMs`",
        faults.long(*UNREAD),
        GONE,
        lambda spoken: one(spoken.long(*UNREAD)),
        listeners.never_reads,
    ),
    Fault(
        "client gone while asking",
        "half of its body has come",
        faults.whole,
        GONE,
        nothing,
        listeners.leaves_while_asking,
    ),
    Fault(
        "client gone before the head",
        "the provider is at work",
        faults.no_head,
        GONE,
        nothing,
        listeners.leaves_before_the_head,
    ),
    Fault(
        "client gone between attempts",
        "the provider has refused once",
        faults.overloaded,
        GONE,
        nothing,
        listeners.leaves_between_attempts,
        headers=ONCE_MORE,
    ),
    Fault(
        "client gone after the head",
        "no event has come",
        faults.stall_at_once,
        GONE,
        nothing,
        listeners.leaves_after_the_head,
    ),
    Fault(
        "client gone in the middle",
        "some events have come",
        faults.stall,
        GONE,
        half_of_it,
        listeners.leaves_in_the_middle,
    ),
    Fault(
        "client gone before the end",
        "all events have come, and not the framing's end",
        faults.no_last_chunk,
        GONE,
        all_of_it,
        listeners.leaves_before_the_end,
    ),
    Fault("gzip", "each event coded and flushed", faults.gzip_whole, WHOLE, all_of_it),
    Fault(
        "gzip, split at every byte",
        "each byte of the coded body is a chunk",
        faults.gzip_byte_by_byte,
        WHOLE,
        all_of_it,
    ),
    Fault("gzip, cut", "closed between two events", faults.gzip_cut, BROKEN, half_of_it),
    Fault("gzip, stall", "silent in the middle", faults.gzip_stall, BROKEN_STALLED, half_of_it),
    Fault(
        "gzip, malformed event", "one that is no JSON; more follows", faults.gzip_malformed, BROKEN, _coded_malformed
    ),
    Fault(
        "gzip, error event",
        "the provider's own, then its proper end",
        faults.gzip_failure,
        FAILED,
        _up_to(_failure, _in_array),
    ),
    Fault(
        "gzip without its end",
        "the framing is whole and the coding is not",
        faults.gzip_without_its_end,
        PASSED_ON,
        all_of_it,
    ),
    Fault(
        "gzip with a wrong checksum",
        "the framing is whole and the coding is broken",
        faults.gzip_with_a_wrong_checksum,
        PASSED_ON,
        all_of_it,
    ),
)


@dataclass
class Cell:
    """One fault in one form. `left_s`: for how long the provider worked for nobody."""

    fault: Fault
    spoken: Spoken
    asked: Asked
    again: Asked
    calls: int
    left_s: float | None = None
    told: Told | None = None
    problem: str = ""
    end: End | None = None

    @property
    def is_as_expected(self) -> bool:
        return not self.problem and self.end == self.fault.end


def play(stage: Stage, fault: Fault, spoken: Spoken) -> Cell:
    """Ask twice. What was booked is read later, when there is all of it."""
    case = f"{fault.name} / {spoken.name}"
    asked = stage.ask(case, fault.tell, spoken, fault.listen, fault.headers)
    calls = len(stage.calls[case])
    left_s = _left_s(stage, asked) if asked.left_at is not None else None
    again = stage.ask(case, faults.whole, spoken, reads, fault.headers)
    cell = Cell(fault, spoken, asked, again, calls, left_s)
    cell.problem = _problem(cell, stage)
    return cell


def _left_s(stage: Stage, asked: Asked) -> float | None:
    """How long the provider still worked for a client that has left; None: it did not work, or did not end."""
    assert asked.left_at is not None
    time.sleep(listeners.REST_S)
    if not stage.calls[asked.case] or asked.listen is listeners.leaves_between_attempts:
        return None
    call, deadline_s = stage.calls[asked.case][0], asked.left_at + _WAIT_S
    while call.gone_at is None and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return (call.gone_at or deadline_s) - asked.left_at


def book(stage: Stage, cell: Cell) -> None:
    """Look up what was booked, and say how it ended."""
    rows, again = (stage.rows_of(asked) for asked in (cell.asked, cell.again))
    if len(rows) != 1 or len(again) != 1:
        cell.problem = cell.problem or f"booked {len(rows)} and {len(again)} times"
        return
    row: Row = rows[0]
    answer = cell.asked.answer
    cell.end = End(
        is_whole=answer is not None and answer.is_whole,
        is_told=cell.told is not None,
        ended=row["ended"],
        is_success=row["success"],
        is_kept=again[0]["cached"],
    )


def _problem(cell: Cell, stage: Stage) -> str:
    """What is wrong beside the end: octets that nobody said, an error in no client's words, calls too many."""
    fault, spoken, answer = cell.fault, cell.spoken, cell.asked.answer
    calls = 0 if fault.listen is listeners.leaves_while_asking else 1
    if cell.calls != calls:
        return f"{cell.calls} calls of the provider"
    if len(stage.calls[cell.asked.case]) - calls != (cell.again.heard.header("cf-aig-cache-status") != "HIT"):
        return "the second answer is neither a hit nor the provider's"
    content = fault.content(spoken)
    if answer is None or fault.is_left:
        heard = b"" if answer is None else answer.body
        return "" if content.startswith(heard) else f"heard {heard[-200:]!r}"
    heard = _decoded(answer)
    if not heard.startswith(content):
        return f"heard {heard[-200:]!r}"
    try:
        cell.told = told_in(spoken, heard[len(content) :])
    except (ValueError, json.JSONDecodeError) as error:
        return f"told {error}"
    code = STALLED if fault.end.ended == "stalled" else CUT
    is_proper_error = cell.told is None or is_proper(spoken, cell.told, code)
    return "" if is_proper_error else f"told {cell.told}"


def _decoded(answer: Answer) -> bytes:
    """The body without its coding, as far as there is any."""
    if answer.header("content-encoding") != "gzip":
        return answer.body
    return zlib.decompressobj(wbits=-15).decompress(answer.body[10:])
