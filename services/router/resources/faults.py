"""
Faults: what is wrong with a document, each with the path of where.

All faults of a document are told at once. Hazard: a message is shown on `/status` and in logs, so it never repeats
a value that may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_REASON_LENGTH_MAX = 2_000
_SHOWN_LENGTH_MAX = 64


class Fault(NamedTuple):
    """One thing that is wrong: `spec.limits[2].windowS` and `must be above 0, is -5`."""

    path: Path
    message: str

    def __str__(self) -> str:
        place = text_of(self.path)
        return f"{place}: {self.message}" if place else self.message


def text_of(path: Path) -> str:
    """The path as an operator would write it: `spec.limits[2].windowS`, `spec.prices["llama-*"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{quoted(part)}]"
    return text


def quoted(text: str) -> str:
    """A text that somebody wrote, on one line and not too long."""
    shown = text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}..."
    return json.dumps(shown, ensure_ascii=False)


def reason_of(faults: Sequence[Fault]) -> str:
    """All faults in one line, the first ones whole and the rest counted."""
    reason = ""
    for position, fault in enumerate(faults):
        addition = f"; {fault}" if reason else str(fault)
        if reason and len(reason) + len(addition) > _REASON_LENGTH_MAX:
            return f"{reason}; and {len(faults) - position} more"
        reason += addition
    return reason
