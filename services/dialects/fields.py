"""
Fields: a few values out of a JSON document at the cost of skipping the rest.

Which fields matter is data (`formats.py`): slots with dotted paths, `choices[].delta.content`. The paths of a
format become one msgspec type with nothing but those fields, so a document is scanned once in C and only the
wanted leaves become objects. A document of another shape than expected (a vendor sends a list where others
send text) is read again slowly, field by field: a wrong type in one field never hides the others. Hazard: a
document that is not JSON raises `NotJson`; one that is JSON but of another shape never raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Any, Final, TypedDict

import msgspec

# The slot of generated text: its values are measured, not read.
TEXT: Final = "text"

# A leaf beyond this is not made into an object on the slow way.
_LEAF_BYTES_MAX: Final = 65_536

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for octets that are no UTF-8 and for nesting without end, beside its own error."""

Found = dict[str, Any]
"""Slot to its first value that is not null; `text` to the number of its bytes, all its paths together."""


class NotJson(ValueError):  # reads as what the document is
    """The document is not valid JSON."""


@dataclass(slots=True)
class Node:
    """One step of the paths: the slot that ends here and how early its path was named, or the fields below it."""

    slot: str = ""
    rank: int = 0
    is_list: bool = False
    kind: Any = None
    steps: dict[str, Node] = field(default_factory=dict)


class FieldReader:
    """Reads the slots of one set of paths. Made once, kept for the life of the process."""

    def __init__(self, paths: Mapping[str, tuple[str, ...]]) -> None:
        self.root = Node()
        for slot, alternatives in paths.items():
            for rank, path in enumerate(alternatives):
                _plant(self.root, slot, rank, path)
        _give_type(self.root)
        self.one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.root.kind)
        self._many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(GenericAlias(list, (self.root.kind,)))

    def read(self, document: bytes) -> Found:
        """The slots of one JSON object; none of a document that is no object. Raises NotJson."""
        try:
            return self.found_in(self.one.decode(document))
        except msgspec.ValidationError:
            found: Found = {}
            _read_slowly(self.root, _checked(document), found)
            return found
        except UNREADABLE as error:
            raise NotJson(type(error).__name__) from error

    def found_in(self, fields: dict[str, Any]) -> Found:
        """The slots of a decoded object."""
        found: Found = {}
        _collect(self.root, fields, found, {})
        return found

    def read_list(self, document: bytes) -> list[Found]:
        """The slots of each item of a JSON array; none of a document that is no array. Raises NotJson."""
        try:
            items = self._many.decode(document)
        except msgspec.ValidationError:
            raws = _items(_checked(document))
            founds: list[Found] = [{} for _ in raws]
            for raw, found in zip(raws, founds, strict=True):
                _read_slowly(self.root, raw, found)
            return founds
        except UNREADABLE as error:
            raise NotJson(type(error).__name__) from error
        founds = [{} for _ in items]
        for item, found in zip(items, founds, strict=True):
            _collect(self.root, item, found, {})
        return founds


def _plant(root: Node, slot: str, rank: int, path: str) -> None:
    node = root
    for step in path.split("."):
        node = node.steps.setdefault(step.removesuffix("[]"), Node())
        node.is_list = node.is_list or step.endswith("[]")
    node.slot, node.rank = slot, rank


def _give_type(node: Node) -> None:
    """
    The msgspec type of a node: a leaf is anything, a text leaf stays raw, the rest are objects that may be null.

    A TypedDict gives only the wanted fields that are there: walking it costs what the document has, not what the
    format knows.
    """
    if node.slot:
        node.kind = msgspec.Raw if node.slot == TEXT else Any
        return
    for child in node.steps.values():
        _give_type(child)
    fields = {name: _field_type(child) for name, child in node.steps.items()}
    node.kind = _typed_dict("Fields", fields, total=False)


# Called by another name: type checkers want to read a TypedDict's fields, and these are made of data.
_typed_dict: Any = TypedDict


def _field_type(child: Node) -> Any:  # a type made at run time
    if child.slot:
        return child.kind
    optional = child.kind | None
    return GenericAlias(list, (optional,)) | None if child.is_list else optional


def _collect(node: Node, values: dict[str, Any], found: Found, ranks: dict[str, int]) -> None:
    steps = node.steps
    for name, value in values.items():
        if value is None:
            continue
        child = steps[name]
        slot = child.slot
        if not slot:
            if child.is_list:
                for item in value:
                    if item is not None:
                        _collect(child, item, found, ranks)
            else:
                _collect(child, value, found, ranks)
        elif slot == TEXT:
            _measure(value, found)
        elif slot not in ranks or child.rank < ranks[slot]:
            found[slot] = value
            ranks[slot] = child.rank


def _read_slowly(root: Node, document: msgspec.Raw, found: Found) -> None:
    """Field by field. Raises NotJson where a field cannot be read at all."""
    try:
        _collect_slowly(root, document, found)
    except UNREADABLE as error:
        raise NotJson(type(error).__name__) from error


def _collect_slowly(node: Node, document: msgspec.Raw, found: Found) -> None:
    try:
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return
    for name, child in node.steps.items():
        raw = members.get(name)
        if raw is None:
            continue
        if child.slot:
            _note_slowly(child.slot, raw, found)
        else:
            for item in _items(raw) if child.is_list else (raw,):
                _collect_slowly(child, item, found)


def text_bytes_of(raw: msgspec.Raw) -> int:
    """How much stands between the quotes; `null` is none."""
    size_bytes = len(raw) - 2
    return 0 if size_bytes < 0 or (size_bytes == 2 and bytes(raw) == b"null") else size_bytes


def _measure(raw: msgspec.Raw, found: Found) -> None:
    """Add the text."""
    size_bytes = text_bytes_of(raw)
    if size_bytes:
        found[TEXT] = found.get(TEXT, 0) + size_bytes


def _note_slowly(slot: str, raw: msgspec.Raw, found: Found) -> None:
    if slot == TEXT:
        _measure(raw, found)
    elif slot not in found and len(raw) <= _LEAF_BYTES_MAX:
        value = msgspec.json.decode(raw)
        if value is not None:
            found[slot] = value


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        return []


def _checked(document: bytes) -> msgspec.Raw:
    """The document, read to its end: a wrong type may have hidden that it is not JSON at all."""
    try:
        return msgspec.json.decode(document, type=msgspec.Raw)
    except UNREADABLE as error:
        raise NotJson(type(error).__name__) from error
