"""
Unbuilt: what resources can say already and this version does not do yet.

A rule that is accepted and not carried out would be believed to hold, so a document that uses one is refused. When a
part is built its row here is deleted, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from services.router.resources.faults import Fault, Path


class Unbuilt(NamedTuple):
    """A field of a kind; `*` stands for every item of a list. With `words`, only these values of it."""

    kind: str
    field: Path
    words: frozenset[str] = frozenset()


UNBUILT = (
    Unbuilt("Gateway", ("limits", "*", "unit"), frozenset({"tokens", "usd"})),
    Unbuilt("Gateway", ("guardrails",)),
    Unbuilt("Gateway", ("dlp",)),
    Unbuilt("Gateway", ("alerts",)),
    Unbuilt("Route", ()),
)


def unbuilt_faults(kind: str, spec: object) -> Iterator[Fault]:
    """One fault for each use of something that is not built yet. Absent and empty are no use."""
    for row in UNBUILT:
        if row.kind == kind:
            for path, value in _found(spec, row.field, ("spec",)):
                if not row.words and (value or not row.field):
                    yield Fault(path, "not built yet")
                elif isinstance(value, str) and value in row.words:
                    yield Fault(path, f"{value} is not built yet")


def _found(value: object, field: Path, path: Path) -> Iterator[tuple[Path, object]]:
    if not field:
        yield path, value
    elif field[0] == "*" and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _found(item, field[1:], (*path, position))
    elif isinstance(value, Mapping) and field[0] in value:
        yield from _found(value[field[0]], field[1:], (*path, field[0]))
