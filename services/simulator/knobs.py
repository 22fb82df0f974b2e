"""
Knobs: how a request asks the simulator to behave, read from its `x-simulator-*` headers.

All of them are optional and bounded. A value that cannot be meant is refused with the header's name: a test that
believes it has asked for a cut stream must not pass because of a typing error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from services.kit.errors import Malformed

PREFIX: Final = "x-simulator-"

LATENCY_MS_MAX: Final = 600_000
DELAY_MS_MAX: Final = 60_000
CHUNKS_MAX: Final = 100_000
WORDS_MAX: Final = 100_000
POSITION_MAX: Final = 1_000_000_000
SESSION_CHARACTERS_MAX: Final = 256

_STATUS = re.compile(r"([2-5]\d\d)(?:\s*;\s*times=(\d{1,9}))?")
_POSITION = re.compile(r"(\d{1,10})(b?)")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an answer: after so many events, or after so many bytes of the body."""

    count: int
    unit: Literal["events", "bytes"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the headers ask for; None: the simulator decides."""

    status: int | None = None
    status_times: int | None = None
    """Only for that many first calls of the session."""
    latency_ms: int = 0
    chunks: int | None = None
    chunk_delay_ms: int = 0
    words: int | None = None
    retry_after: str = ""
    cut_after: Position | None = None
    stall_after: Position | None = None
    malformed_after: int | None = None
    session: str = ""


def read_knobs(headers: Iterable[tuple[str, str]]) -> Knobs:
    """The knobs among the headers. Raises Malformed, naming the header."""
    values = {name.lower(): value.strip() for name, value in headers if name.lower().startswith(PREFIX)}
    for name in values:
        if name.removeprefix(PREFIX) not in _NAMES:
            known = ", ".join(PREFIX + known for known in _NAMES)
            raise Malformed(f"{name}: no such knob; there are {known}")
    status, times = _status(values.get("x-simulator-status"))
    return Knobs(
        status=status,
        status_times=times,
        latency_ms=_number(values, "x-simulator-latency-ms", LATENCY_MS_MAX) or 0,
        chunks=_number(values, "x-simulator-chunks", CHUNKS_MAX, least=1),
        chunk_delay_ms=_number(values, "x-simulator-chunk-delay-ms", DELAY_MS_MAX) or 0,
        words=_number(values, "x-simulator-words", WORDS_MAX, least=1),
        retry_after=_retry_after(values.get("x-simulator-retry-after", "")),
        cut_after=_position(values, "x-simulator-cut-after"),
        stall_after=_position(values, "x-simulator-stall-after"),
        malformed_after=_number(values, "x-simulator-malformed-after", CHUNKS_MAX),
        session=_session(values.get("x-simulator-session", "")),
    )


_NAMES: Final = (
    "status",
    "latency-ms",
    "chunks",
    "chunk-delay-ms",
    "words",
    "retry-after",
    "cut-after",
    "stall-after",
    "malformed-after",
    "session",
)


def _number(values: dict[str, str], name: str, most: int, *, least: int = 0) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise Malformed(f"{name}: must be a whole number from {least} to {most}, is {text[:40]!r}")
    return int(text)


def _status(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    match = _STATUS.fullmatch(text)
    if match is None:
        raise Malformed(f"x-simulator-status: must be a status from 200 to 599 as 503 or 503;times=2, is {text[:40]!r}")
    return int(match[1]), int(match[2]) if match[2] else None


def _position(values: dict[str, str], name: str) -> Position | None:
    text = values.get(name)
    if text is None:
        return None
    match = _POSITION.fullmatch(text)
    if match is None or int(match[1]) > POSITION_MAX:
        raise Malformed(f"{name}: must be a number of events as 3, or of bytes as 3b, is {text[:40]!r}")
    return Position(int(match[1]), "bytes" if match[2] else "events")


def _retry_after(text: str) -> str:
    """Seconds or an HTTP date, as the header itself may be."""
    if not text or (text.isascii() and text.isdigit() and len(text) <= 10):
        return text
    try:
        parsedate_to_datetime(text)
    except ValueError as error:
        raise Malformed(f"x-simulator-retry-after: must be seconds or an HTTP date, is {text[:40]!r}") from error
    return text


def _session(text: str) -> str:
    if len(text) > SESSION_CHARACTERS_MAX:
        raise Malformed(f"x-simulator-session: must have at most {SESSION_CHARACTERS_MAX} characters, has {len(text)}")
    return text
