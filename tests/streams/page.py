"""
Page: what was measured, as docs/streams.md says it.

Made of outcomes alone, without times, so that the same behaviour gives the same page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.providers.streams import SPOKEN
from tests.streams.matrix import Cell, End

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
said."""

TOGETHER = """Who joins an answer that is on its way gets what the first one gets. If the first one leaves, the answer
goes on for the other; if it breaks, it is told to both, and nothing is kept. A client that leaves alone, in any
stage, ends the provider's request within one second."""

DRAINED = """A stream that still goes on when an edge that stops has waited `NARROWS_DRAIN_S` is told as a cut one,
and booked as `cut`. A request whose provider has not answered by then gets 503 with `Retry-After`."""


def page(cells: Sequence[Cell], everywhere: Sequence[tuple[str, int, int, int, int]]) -> str:
    """`everywhere`: per form its name, how often it was split, cut, ended by closing, and whole of the last."""
    lines = [
        NOTE,
        "# Streams",
        "",
        *_wrapped(ABOUT),
        "",
        "## What a client gets, and what is booked",
        "",
        *_wrapped(LEGEND),
        "",
    ]
    names = [spoken.name for spoken in SPOKEN]
    lines += [f"| fault | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for first, *others in _rows(cells):
        fault, ends = first.fault, [_words(cell.end) for cell in (first, *others)]
        lines.append(f"| **{fault.name}**: {fault.meaning} | {' | '.join(ends)} |")
    lines += ["", *_wrapped(MALFORMED), "", "## At every byte", "", *_wrapped(EVERYWHERE), ""]
    lines += ["| | split, and whole | cut, and told | ended by closing | of these whole |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(map(str, counts))} |" for name, *counts in everywhere]
    lines += ["", "## What the client is told", "", *_wrapped(TOLD), ""]
    for cell in cells:
        if cell.fault.name == "cut":
            lines += [f"{cell.spoken.name}:", "", "```", *_told(cell), "```", ""]
    lines += ["## With others, and at the end", "", *_wrapped(TOGETHER), "", *_wrapped(DRAINED)]
    return "\n".join(lines) + "\n"


def _rows(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    return [cells[at : at + len(SPOKEN)] for at in range(0, len(cells), len(SPOKEN))]


def _words(end: End | None) -> str:
    if end is None:
        return "?"
    shape = (
        "whole" if end.is_whole else "told" if end.is_told else "part" if end.ended == "client_gone" else "broken off"
    )
    more = ", kept" if end.is_kept else ", no success" if end.ended == "done" and not end.is_success else ""
    return f"{shape}, `{end.ended}`{more}"


def _told(cell: Cell) -> list[str]:
    content = cell.fault.content(cell.spoken)
    return cell.asked.heard.body[len(content) :].decode().strip().split("\n")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH)
