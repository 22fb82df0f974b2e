"""Secret: a string that does not show itself. `reveal` is the one way to its value, so a reader can find every use."""

from __future__ import annotations


class Secret:
    """Holds a secret string; prints as `***` wherever it ends up by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself. Callers own where it goes from here."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)
