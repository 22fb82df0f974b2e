"""
Pace: an answer as steps in time, with whatever the knobs break in it.

Pure: the answer's pieces go in (the events of a stream, or one whole body), steps come out; the server only
carries them out. A piece that a byte position falls into is cut there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.simulator.knobs import Knobs, Position

MALFORMED_EVENT: Final = b'data: {"malformed": \n\n'


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes now."""

    piece: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more comes: the connection is closed, or stays open in silence."""

    how: Literal["cut", "stall"]


Step = Send | Pause | Stop


def paced(pieces: Sequence[bytes], knobs: Knobs, *, is_stream: bool) -> Iterator[Step]:
    """The steps of an answer. After the last step without a Stop the answer is whole."""
    if is_stream:
        pieces = _with_malformed(pieces, knobs.malformed_after)
    sent_bytes = 0
    for sent_events, piece in enumerate(pieces):
        for stop, how in _stops(knobs):
            fits = _fits(stop, sent_events, sent_bytes, piece)
            if fits is not None:
                yield from (Send(fits), Stop(how)) if fits else (Stop(how),)
                return
        if sent_events and knobs.chunk_delay_ms:
            yield Pause(knobs.chunk_delay_ms)
        yield Send(piece)
        sent_bytes += len(piece)
    for stop, how in _stops(knobs):
        if stop.count == (len(pieces) if stop.unit == "events" else sent_bytes):
            yield Stop(how)
            return


def _stops(knobs: Knobs) -> Iterator[tuple[Position, Literal["cut", "stall"]]]:
    if knobs.cut_after is not None:
        yield knobs.cut_after, "cut"
    if knobs.stall_after is not None:
        yield knobs.stall_after, "stall"


def _fits(stop: Position, sent_events: int, sent_bytes: int, piece: bytes) -> bytes | None:
    """What of this piece is still sent before the stop; None: the stop is not in it."""
    if stop.unit == "events":
        return b"" if stop.count == sent_events else None
    left = stop.count - sent_bytes
    return piece[:left] if left < len(piece) else None


def _with_malformed(pieces: Sequence[bytes], after: int | None) -> Sequence[bytes]:
    if after is None:
        return pieces
    return [*pieces[:after], MALFORMED_EVENT, *pieces[after:]]
