"""
Tally: what an answer has told so far, event by event.

Providers report usage at the start, at the end, in each event (then the last one counts) or in pieces, and some
send zeros where they have nothing to say: the last positive count of each slot wins. Text is added up, because
an answer that reports nothing is estimated by it. Beside the counts stands what has a price of its own (audio, what a
cache keeps for an hour, searches) and, from the few providers that state it, the bill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_SAID: Final = (TEXT, "model", "error")
COUNTS: Final = (INPUT, INPUT_BESIDE, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, TOTAL)
_BILL: Final = ("cost", "cost_beside", "is_cost_beside")

# Each named as its field in `Tokens`, parts also as theirs in `Parts`.
_MODALITIES_IN: Final = "modalities_in"
_MODALITIES_OUT: Final = "modalities_out"
_LIVES: Final = "cache_write_lives"
_PARTS: Final = ("audio_in", "audio_out", "image_in", "image_out", "cache_write_long", "searches")
_PRICED: Final = (*_PARTS, _MODALITIES_IN, _MODALITIES_OUT, _LIVES)

# Where a part is one of a list: the list, which of an item's members names the part, as what, and which counts it.
_LISTED: Final = {
    "audio_in": (_MODALITIES_IN, "modality", "AUDIO", "tokenCount"),
    "audio_out": (_MODALITIES_OUT, "modality", "AUDIO", "tokenCount"),
    "image_in": (_MODALITIES_IN, "modality", "IMAGE", "tokenCount"),
    "image_out": (_MODALITIES_OUT, "modality", "IMAGE", "tokenCount"),
    "cache_write_long": (_LIVES, "ttl", "1h", "inputTokens"),
}

_COUNTS_END: Final = len(COUNTS)
_WHOLE_END: Final = _COUNTS_END + len(("model", "error", "status", "finish"))
"""Where what not every format has begins among a document's values."""

_NANODOLLARS_PER_USD: Final = 1_000_000_000
_COST_USD_MAX: Final = 1_000_000

# Work that has been accepted and goes on: this answer is not its bill.
_PENDING: Final = frozenset({"starting", "processing", "queued", "in_progress"})


def event_reader(form: Format) -> FieldReader:
    """Reads the events of a stream in that format."""
    paths = _paths(form, form.event_text) | {"finish": form.finish, "type": form.event_type} | _rare_paths(form)
    return FieldReader(paths)


def whole_reader(form: Format) -> ShapeReader:
    """Reads an answer in that format that is one document."""
    return ShapeReader(
        _paths(form, form.whole_text) | {"status": form.status, "finish": form.finish} | _rare_paths(form),
        counts=COUNTS,
    )


def _paths(form: Format, text: Paths) -> dict[str, Paths]:
    tokens = form.tokens
    return {
        INPUT: tokens.input,
        INPUT_BESIDE: tokens.input_beside,
        OUTPUT: tokens.output,
        CACHE_READ: tokens.cache_read,
        CACHE_WRITE: tokens.cache_write,
        REASONING: tokens.reasoning,
        TOTAL: tokens.total,
        "model": form.model,
        "error": form.error,
        TEXT: text,
    }


def _rare_paths(form: Format) -> dict[str, Paths]:
    """What has a price of its own, then the bill."""
    priced: dict[str, Paths] = {slot: paths for slot in _PRICED if (paths := getattr(form.tokens, slot))}
    if form.bill is None:
        return priced
    return priced | dict(zip(_BILL, (form.bill.cost, form.bill.beside, form.bill.is_beside), strict=True))


class Parts(msgspec.Struct, frozen=True):
    """What has a price of its own: parts of an answer's counts, and the searches of the web made for it."""

    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    cache_write_long: int = 0
    """What a cache keeps for an hour."""
    searches: int = 0


class Tally(msgspec.Struct):
    """Adds up one answer."""

    form: Format
    counts: list[int | None] = []  # msgspec gives each its own
    """In the order of `COUNTS`; empty as long as there is none."""
    priced: dict[str, object] = {}
    """What was said last of what has a price of its own."""
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

    def note_whole(self, slots: Sequence[str], values: Values, text_bytes: int) -> None:
        """The one document, as its reader gives it, who knows the slots of the values."""
        counts = list(values[:_COUNTS_END])
        model, error, status, finish = values[_COUNTS_END:_WHOLE_END]
        if any(values[_WHOLE_END:]) or self.form.bill is not None:
            self._note_rare(dict(zip(slots[_WHOLE_END:], values[_WHOLE_END:], strict=True)))
        if self.counts:
            self._note_counts(counts)
        else:
            self.counts = counts
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

    def parts(self) -> Parts:
        """What has a price of its own."""
        return Parts(**{part: count_of(self.priced.get(part)) or _listed(self.priced, part) for part in _PARTS})

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
            self._note_rare(found)
        elif self.form.bill is not None:
            self._note_rare(found)

    def _note_finish(self, finish: object) -> None:
        if type(finish) is str and finish in self.form.failing:
            self.is_error = True

    def _note_rare(self, found: Found) -> None:
        """What has a price of its own, as counts: the last of each holds, but for one of 0; and the bill."""
        for slot in _PRICED:
            value = found.get(slot)
            if value:
                self.priced[slot] = value
        if self.form.bill is not None:
            self._note_bill(self.form.bill, tuple(map(found.get, _BILL)))

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


def _listed(said: Mapping[str, object], part: str) -> int:
    """A part that is counted in a list's items."""
    if part not in _LISTED:
        return 0
    slot, name, wanted, count = _LISTED[part]
    items = said.get(slot)
    if type(items) is not list:
        return 0
    return sum(count_of(item.get(count)) or 0 for item in items if type(item) is dict and item.get(name) == wanted)


def _amount_of(value: object) -> float | None:
    """A number from 0 up, None for all else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value
    return None
