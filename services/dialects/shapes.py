"""
Shapes: documents of a format are alike, so what the walk through the first ones met is looked for in the next.

A format knows dozens of fields, and a vendor writes a few of them. The fields that were met so far become a type: in
it, a field that was never met may only be null. So one decode in C both finds the values and says that there is
nothing else to be found; a document that does not fit is walked by `FieldReader`, and what is new in it is met from
then on. Hazard: a type must never hide a value which the walk would find; when in doubt it must not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec

from services.dialects.fields import TEXT, UNREADABLE, FieldReader, Node, text_bytes_of

Values = tuple[Any, ...]

# A count beyond this is nobody's token count.
_COUNT_MAX: Final = 1_000_000_000_000

_COUNT: Final[Any] = Annotated[int, msgspec.Meta(ge=0, le=_COUNT_MAX)]
_NOT_NULL: Final[Any] = str | int | float | bool | list[Any] | dict[str, Any]
_NO_TEXT: Final = msgspec.Raw(b"")

# An attribute that every document has, of nothing.
_ABSENT: Final = "absent"

_Kind = tuple[Any, ...]
"""A field's type, and what stands for it in a document without it; alone: no document without it fits."""


class ShapeReader:
    """
    Reads the slots of one set of paths, in their order, without the text. Made once, kept for the life of the process.

    The slots in `counts` are whole numbers from 0 up; what is none is as if it were not there.
    """

    def __init__(self, paths: Mapping[str, tuple[str, ...]], *, counts: Collection[str] = ()) -> None:
        self._fields = FieldReader(paths)
        self.slots = tuple(slot for slot in paths if slot != TEXT)
        """What each value stands for."""
        self._counts = frozenset(counts)
        self._end = len(self.slots)
        self._met: set[int] = set()
        """The nodes that were met, by identity; they live as long as this."""
        self._shape()

    def read(self, document: bytes) -> tuple[Values, int]:
        """
        What each slot holds, None where nothing, and the bytes of text, of one JSON object. Raises NotJson.

        Of a document that is no object there is nothing.
        """
        try:
            values = self._get(self._decode(document))
        except UNREADABLE:
            return self._walk(document)
        text_bytes = 0
        for raw in values[self._end :]:
            text_bytes += text_bytes_of(raw)
        return values[: self._end], text_bytes

    def _walk(self, document: bytes) -> tuple[Values, int]:
        """As `read`, of a document that does not fit."""
        try:
            fields = self._fields.one.decode(document)
        except UNREADABLE:
            found = self._fields.read(document)
        else:
            found = self._fields.found_in(fields)
            met_count = len(self._met)
            self._meet(self._fields.root, fields)
            if len(self._met) > met_count:
                self._shape()
        for slot in self._counts & found.keys():
            found[slot] = count_of(found[slot])
        return tuple(map(found.get, self.slots)), found.get(TEXT, 0)

    def _meet(self, node: Node, fields: dict[str, Any]) -> None:
        """Note what a document has that is not null."""
        for name, value in fields.items():
            if value is None:
                continue
            child = node.steps[name]
            self._met.add(id(child))
            if not child.slot:
                for below in value if child.is_list else (value,):
                    self._meet(child, below or {})

    def _shape(self) -> None:
        """Make the type of what was met, and what gets the slots and then the texts out of it."""
        leaves = [(path, node) for path, node in _leaves(self._fields.root) if id(node) in self._met]
        first = {node.slot: (path, node) for path, node in sorted(leaves, key=lambda leaf: -leaf[1].rank)}
        several = {slot for slot in first if sum(node.slot == slot for _, node in leaves) > 1}
        kinds = {id(node): self._leaf(node, is_contested=node.slot in several) for _, node in first.values()}
        kinds |= {id(node): (msgspec.Raw, _NO_TEXT) for _, node in leaves if node.slot == TEXT}
        kinds |= {id(node): (Any, None) for _, node in leaves if id(node) not in kinds}
        kind = _struct_of(self._fields.root, self._met, kinds)
        slots = [first[slot][0] if slot in first else _ABSENT for slot in self.slots]
        texts = [path for path, node in leaves if node.slot == TEXT]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode
        self._get: Callable[[Any], Values] = attrgetter(*slots, *texts)

    def _leaf(self, node: Node, *, is_contested: bool) -> _Kind:
        """The type of the value that a slot holds; if others could hold it instead, it must be there."""
        is_count = node.slot in self._counts
        if is_contested:
            return (_COUNT if is_count else _NOT_NULL,)
        return (_COUNT | None if is_count else Any), None


def _attribute(at: int) -> str:
    """A field's name in its type: JSON's names need not be Python's."""
    return f"field_{at}"


def _leaves(node: Node, begin: str = "") -> Iterator[tuple[str, Node]]:
    """Every node where a path ends, and the attributes that lead to it."""
    for at, child in enumerate(node.steps.values()):
        path = begin + _attribute(at)
        if child.slot:
            yield path, child
        else:
            yield from _leaves(child, f"{path}.item." if child.is_list else f"{path}.")


def _struct_of(node: Node, met: Collection[int], leaves: Mapping[int, _Kind]) -> type[msgspec.Struct]:
    """The type of the objects at a node. What was never met may only be null."""
    fields: list[Any] = []
    names = {_attribute(at): name for at, name in enumerate(node.steps)}
    for attribute, child in zip(names, node.steps.values(), strict=True):
        if id(child) not in met:
            fields.append((attribute, None, None))
        elif child.slot:
            fields.append((attribute, *leaves[id(child)]))
        else:
            fields.append((attribute, *_object(child, met, leaves)))
    return msgspec.defstruct(
        "Shape", fields, rename=names, namespace={_ABSENT: None}, frozen=True, gc=False, kw_only=True
    )


def _object(node: Node, met: Collection[int], leaves: Mapping[int, _Kind]) -> _Kind:
    """The type of an object below another, or of a list of one, and an empty one if it may be that."""
    kind: Any = _struct_of(node, met, leaves)
    is_required = any(each.required for each in msgspec.structs.fields(kind))
    if not node.is_list:
        return (kind,) if is_required else (kind, kind())
    item = [("item", kind)]
    listed: Any = msgspec.defstruct("OneItem", item, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False)
    return (listed,) if is_required else (listed, listed(kind()))


def count_of(value: object) -> int | None:
    """A whole number from 0 up, written as one or with a fraction of zero; None for all else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _COUNT_MAX else None
