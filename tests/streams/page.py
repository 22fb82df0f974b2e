"""
Page: what was measured, as docs/streams.md says it.

Made of outcomes alone, without times, so that the same behaviour gives the same page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.providers.streams import SPOKEN
from tests.streams.matrix import FAULTS, Cell, End, Fault

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"
WIDTH = 120
NOTE = "<!-- Made from what `make acceptance NAME=honest_streams` measured; it fails when this page says otherwise. -->"

ABOUT = """What becomes of a stream that goes wrong. A broken answer never ends as a whole one, is never cached, and
every end is booked once: the acceptance test `honest_streams` plays each fault in each form of stream against a whole
gateway, reads what the client got octet by octet, asks the same again of a healthy provider to see whether anything
was kept, and reads what was booked from the log and the metrics. The rules are in [wire.md](wire.md), section 5."""

LEGEND = """*Whole*: the provider's octets, every one, and the framing's end. *Told*: the provider's octets up to the
fault, then an error in the client's own protocol, then the connection closes without the framing's end. *Broken off*:
the same without a word, since a content coding leaves no room for one. *Part*: the client has what had come when it
left. In `code`: how the log says it `ended`; *no success* is what the log says of an answer that says itself that it
failed. *Kept*: whoever asks the same is given it from the cache; all others are fetched anew."""

MALFORMED = """Nothing passes behind a malformed event, not even what came with it in one piece, since a proper end
may stand there. In a content coding nothing passes of the piece in which it was found. A stream that is one array can
only be read at its end, so there the items behind it have passed by then."""

EVERYWHERE = """Each stream is also split into two chunks at each of its bytes, and cut after each of them: in chunks,
where it is never whole, and without framing, where it is whole if the dialect's own end (its terminal event or a
finish reason) has come and nothing half stands behind it."""

TOLD = """The last event of a stream that was cut, octet for octet. A stall says code 2208, and 504 where a status is
said. The providers' own SDKs raise either."""

TOGETHER = """Who joins an answer that is on its way gets what the first one gets. If the first one leaves, the answer
goes on for the other; if it breaks, it is told to both, and nothing is kept. A client that leaves alone, in any
stage, ends the provider's request within one second."""

DRAINED = """A stream that still goes on when an edge that stops has waited `NARROWS_DRAIN_S` is told as a cut one,
and booked as `cut`. A request whose provider has not answered by then gets 503 with `Retry-After`."""


@dataclass(frozen=True)
class EveryByte:
    """How often one form was split, cut and ended by closing, and whole of the last."""

    split: int
    cut: int
    closed: int
    whole: int


@dataclass(frozen=True)
class Findings:
    """What the page is made of: `ends` and the rest for each form in their order."""

    ends: Mapping[Fault, Sequence[End | None]]
    everywhere: Sequence[EveryByte]
    told: Sequence[bytes]
    """To those whose stream was cut."""


def findings_of(cells: Sequence[Cell], everywhere: Sequence[EveryByte]) -> Findings:
    """As they were measured."""
    rows = {fault: [cell for cell in cells if cell.fault is fault] for fault in FAULTS}
    cut = next(row for fault, row in rows.items() if fault.name == "cut")
    told = [cell.asked.heard.body.removeprefix(cell.fault.content(cell.spoken)) for cell in cut]
    return Findings({fault: [cell.end for cell in row] for fault, row in rows.items()}, everywhere, told)


def page(found: Findings) -> str:
    """The text."""
    names = [spoken.name for spoken in SPOKEN]
    lines = [NOTE, "# Streams", "", *_wrapped(ABOUT), ""]
    lines += ["## What a client gets, and what is booked", "", *_wrapped(LEGEND), ""]
    lines += [f"| fault | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for fault, ends in found.ends.items():
        lines.append(f"| **{fault.name}**: {fault.meaning} | {' | '.join(map(_words, ends))} |")
    lines += ["", *_wrapped(MALFORMED), "", "## At every byte", "", *_wrapped(EVERYWHERE), ""]
    lines += ["| | split, and whole | cut, and told | ended by closing | of these whole |", "|---|---|---|---|---|"]
    for name, each in zip(names, found.everywhere, strict=True):
        lines.append(f"| {name} | {each.split} | {each.cut} | {each.closed} | {each.whole} |")
    lines += ["", "## What the client is told", "", *_wrapped(TOLD), ""]
    for name, told in zip(names, found.told, strict=True):
        lines += [f"{name}:", "", "```", *told.decode().strip().split("\n"), "```", ""]
    lines += ["## With others, and at the end", "", *_wrapped(TOGETHER), "", *_wrapped(DRAINED)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _words(end: End | None) -> str:
    if end is None:
        return "?"
    shape = (
        "whole" if end.is_whole else "told" if end.is_told else "part" if end.ended == "client_gone" else "broken off"
    )
    more = ", kept" if end.is_kept else ", no success" if end.ended == "done" and not end.is_success else ""
    return f"{shape}, `{end.ended}`{more}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH)
