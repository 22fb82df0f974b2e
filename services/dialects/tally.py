"""
Tally: what an answer has told so far, event by event.

Providers report usage at the start, at the end, in each event (then the last one counts) or in pieces, and some
send zeros where they have nothing to say: the last positive count of each slot wins. Text is added up, because
an answer that reports nothing is estimated by it. Beside the counts stands what has a price of its own (audio, what a
cache keeps for an hour, searches) and, from the few providers that state it, the bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from services.dialects.fields import TEXT, FieldReader, Found
from services.dialects.formats import Bill, Format, Paths
from services.dialects.shapes import ShapeReader, Values, count_of

INPUT: Final = "input"
INPUT_BESIDE: Final = "input_beside"
OUTPUT: Final = "output"
CACHE_READ: Final = "cache_read"
CACHE_WRITE: Final = "cache_write"
REASONING: Final = "reasoning"
TOTAL: Final = "total"
AUDIO_IN: Final = "audio_in"
AUDIO_OUT: Final = "audio_out"
CACHE_WRITE_LONG: Final = "cache_write_long"
SEARCHES: Final = "searches"
_SAID: Final = (TEXT, "model", "error")
COUNTS: Final = (INPUT, INPUT_BESIDE, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, TOTAL)
PARTS: Final = (AUDIO_IN, AUDIO_OUT, CACHE_WRITE_LONG, SEARCHES)
"""What has a price of its own: parts of those counts, and what is beside them."""
_BILL: Final = ("cost", "cost_beside", "is_cost_beside")

# Where a part is not a count but one of a list: which member names it, as what, and which one counts it.
_LISTED: Final = {
    AUDIO_IN: ("modality", "AUDIO", "tokenCount"),
    AUDIO_OUT: ("modality", "AUDIO", "tokenCount"),
    CACHE_WRITE_LONG: ("ttl", "1h", "inputTokens"),
}

_NANODOLLARS_PER_USD: Final = 1_000_000_000
_COST_USD_MAX: Final = 1_000_000

# Work that has been accepted and goes on: this answer is not its bill.
_PENDING: Final = frozenset({"starting", "processing", "queued", "in_progress"})


def event_reader(form: Format) -> FieldReader:
    """Reads the events of a stream in that format."""
    paths = _paths(form, form.event_text) | {"finish": form.finish, "type": form.event_type}
    return FieldReader(paths)


def whole_reader(form: Format) -> ShapeReader:
    """Reads an answer in that format that is one document."""
    return ShapeReader(
        _paths(form, form.whole_text) | {"status": form.status, "finish": form.finish},
        counts=COUNTS,
    )


def _paths(form: Format, text: Paths) -> dict[str, Paths]:
    tokens = form.tokens
    bill: dict[str, Paths] = {}
    if form.bill is not None:
        bill = dict(zip(_BILL, (form.bill.cost, form.bill.beside, form.bill.is_beside), strict=True))
    return bill | {
        INPUT: tokens.input,
        INPUT_BESIDE: tokens.input_beside,
        OUTPUT: tokens.output,
        CACHE_READ: tokens.cache_read,
        CACHE_WRITE: tokens.cache_write,
        REASONING: tokens.reasoning,
        TOTAL: tokens.total,
        AUDIO_IN: tokens.audio_in,
        AUDIO_OUT: tokens.audio_out,
        CACHE_WRITE_LONG: tokens.cache_write_long,
        SEARCHES: tokens.searches,
        "model": form.model,
        "error": form.error,
        TEXT: text,
    }


class Tally(msgspec.Struct):
    """Adds up one answer."""

    form: Format
    counts: list[int | None] = []  # msgspec gives each its own
    """In the order of `COUNTS`; empty as long as there is none."""
    parts: tuple[int, ...] = ()
    """In the order of `PARTS`; empty as long as there is none."""
    cost_nanodollars: int | None = None
    """What the provider states."""
    text_bytes: int = 0
    model: str = ""
    is_terminal_seen: bool = False
    is_error: bool = False
    is_pending: bool = False

    def note(self, found: Found, event_name: str = "") -> None:
        """One event."""
        if found:
            self._note_said(found)
        finish = found.get("finish")
        # Some vendors send an empty reason until there is one; an empty text is a text.
        if finish is not None and (finish != "" or self.form.is_finish_text):
            self.is_terminal_seen = True
            self._note_finish(finish)
        kind = found.get("type") or event_name
        if type(kind) is str:
            self.is_terminal_seen = self.is_terminal_seen or kind in self.form.terminal_types
            self.is_error = self.is_error or kind in self.form.failing

    def note_whole(self, values: Values, text_bytes: int) -> None:
        """The one document, as its reader gives it."""
        if self.form.bill is not None:
            self._note_bill(self.form.bill, values[: len(_BILL)])
            values = values[len(_BILL) :]
        *counts, audio_in, audio_out, write_long, searches, model, error, status, finish = values
        if self.counts:
            self._note_counts(counts)
        else:
            self.counts = counts
        if audio_in or audio_out or write_long or searches:
            self._note_parts((audio_in, audio_out, write_long, searches))
        self.text_bytes += text_bytes
        if model and type(model) is str:
            self.model = model
        if error:
            self.is_error = True
        if finish is not None:
            self._note_finish(finish)
        if status is not None:
            self.is_pending = type(status) is str and status in _PENDING

    def note_headers(self, headers: Mapping[bytes, bytes]) -> None:
        """Counts in the answer's head; those of the body are more precise and come later."""
        tokens = self.form.tokens
        for slot, names in (
            (INPUT, tokens.input_headers),
            (OUTPUT, tokens.output_headers),
            (CACHE_READ, tokens.cache_read_headers),
            (CACHE_WRITE, tokens.cache_write_headers),
        ):
            for name in names:
                text = headers.get(name, b"")
                if text.isdigit() and len(text) <= 12:
                    self._note_counts([int(text) if each == slot else None for each in COUNTS])

    def _note_said(self, found: Found) -> None:
        """What an event has as documents have it."""
        text_bytes, model, error = map(found.get, _SAID)
        if text_bytes:
            self.text_bytes += text_bytes
        if model and type(model) is str:
            self.model = model
        if error:
            self.is_error = True
        if not found.keys().isdisjoint(COUNTS):
            self._note_counts([count_of(found.get(slot)) for slot in COUNTS])
            if not found.keys().isdisjoint(PARTS):
                self._note_parts(tuple(map(found.get, PARTS)))
        if self.form.bill is not None:
            self._note_bill(self.form.bill, tuple(map(found.get, _BILL)))

    def _note_finish(self, finish: object) -> None:
        if type(finish) is str and finish in self.form.failing:
            self.is_error = True

    def _note_parts(self, values: Values) -> None:
        """As counts: the last of each holds, but for one of 0."""
        known = self.parts or (0,) * len(PARTS)
        found = (_part_of(value, slot) for slot, value in zip(PARTS, values, strict=True))
        self.parts = tuple(new or old for new, old in zip(found, known, strict=True))

    def _note_bill(self, bill: Bill, values: Values) -> None:
        """The last bill holds."""
        cost, beside, is_beside = values
        if is_beside is True:
            cost = (_amount_of(cost) or 0) + (_amount_of(beside) or 0)
        amount = _amount_of(cost)
        if amount is not None and amount <= _COST_USD_MAX * bill.units_per_usd:
            self.cost_nanodollars = round(amount * _NANODOLLARS_PER_USD / bill.units_per_usd)

    def _note_counts(self, counts: list[int | None]) -> None:
        """The last count of each holds; one of 0 does not take the place of another."""
        known = self.counts or [None] * len(COUNTS)
        self.counts = [new if new or old is None else old for new, old in zip(counts, known, strict=True)]


def _part_of(value: object, slot: str) -> int:
    """A part of a count: said as such, or as members of a list that say which part they are. 0: nothing is said."""
    if type(value) is list and slot in _LISTED:
        name, wanted, count = _LISTED[slot]
        listed = (item for item in value if type(item) is dict and item.get(name) == wanted)
        return sum(count_of(item.get(count)) or 0 for item in listed)
    return count_of(value) or 0


def _amount_of(value: object) -> float | None:
    """A number from 0 up, None for all else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value
    return None
