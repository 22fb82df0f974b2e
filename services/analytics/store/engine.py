"""
Engine: what runs SQL, in this process or elsewhere.

Two methods, so that one text of SQL serves embedded ClickHouse and a server. Parameters are typed placeholders
(`{name:String}`) and never become part of the text. Hazard: ClickHouse quotes the rows it could not parse in its
messages; `StatementRefused` keeps the error's number and name and nothing of what was in the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Row = Sequence[Any]

_CODE = re.compile(r"Code: (\d+)")
_NAME = re.compile(r"\(([A-Z][A-Z_0-9]+)\)")


class StatementRefused(Exception):
    """The engine did not take a statement. `code` and `name` are ClickHouse's own."""

    def __init__(self, message: str) -> None:
        code = _CODE.search(message)
        names = _NAME.findall(message)
        self.code = int(code[1]) if code else 0
        self.name = names[-1] if names else "UNKNOWN"
        super().__init__(f"{self.name} ({self.code})")


class Engine(Protocol):
    """Runs one statement at a time. Raises StatementRefused; DependencyUnavailable when it cannot be reached."""

    async def execute(self, statement: str, payload: bytes = b"") -> None:
        """Run a statement. `payload` is what an INSERT's format reads: lines, none of them empty."""
        ...

    async def fetch(self, query: str, parameters: Mapping[str, str]) -> Sequence[Row]:
        """Rows of a SELECT. A parameter's value is its text, whatever its type."""
        ...


def escaped(value: str) -> str:
    """A parameter's value as ClickHouse reads it: like a field of a tab-separated line."""
    return value.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
