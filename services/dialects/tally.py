"""
Tally: what an answer has told so far, event by event.

Providers report usage at the start, at the end, in each event (then the last one counts) or in pieces, and some
send zeros where they have nothing to say: the last positive count of each slot wins. Text is added up, because
an answer that reports nothing is estimated by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from services.dialects.fields import TEXT, FieldReader, Found
from services.dialects.formats import Format, Paths
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

# Work that has been accepted and goes on: this answer is not its bill.
_PENDING: Final = frozenset({"starting", "processing", "queued", "in_progress"})


def event_reader(form: Format) -> FieldReader:
    """Reads the events of a stream in that format."""
    paths = _paths(form, form.event_text) | {"finish": form.finish, "type": form.event_type}
    return FieldReader(paths)


def whole_reader(form: Format) -> ShapeReader:
    """Reads an answer in that format that is one document."""
    return ShapeReader(_paths(form, form.whole_text) | {"status": form.status}, counts=COUNTS)


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


class Tally(msgspec.Struct):
    """Adds up one answer."""

    form: Format
    counts: list[int | None] = []  # msgspec gives each its own
    """In the order of `COUNTS`; empty as long as there is none."""
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
        kind = found.get("type") or event_name
        if type(kind) is str:
            self.is_terminal_seen = self.is_terminal_seen or kind in self.form.terminal_types
            self.is_error = self.is_error or kind == "error"

    def note_whole(self, values: Values, text_bytes: int) -> None:
        """The one document, as its reader gives it."""
        *counts, model, error, status = values
        if self.counts:
            self._note_counts(counts)
        else:
            self.counts = counts
        self.text_bytes += text_bytes
        if model and type(model) is str:
            self.model = model
        if error:
            self.is_error = True
        if status is not None:
            self.is_pending = type(status) is str and status in _PENDING

    def note_headers(self, headers: Mapping[bytes, bytes]) -> None:
        """Counts in the answer's head; those of the body are more precise and come later."""
        for slot, names in ((INPUT, self.form.tokens.input_headers), (OUTPUT, self.form.tokens.output_headers)):
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

    def _note_counts(self, counts: list[int | None]) -> None:
        """The last count of each holds; one of 0 does not take the place of another."""
        known = self.counts or [None] * len(COUNTS)
        self.counts = [new if new or old is None else old for new, old in zip(counts, known, strict=True)]
