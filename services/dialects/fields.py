"""
Fields: a few values out of a JSON document at the cost of skipping the rest.

Which fields matter is data (`formats.py`): slots with dotted paths, `choices[].delta.content`. The paths of a
format become one msgspec type with nothing but those fields, so a document is scanned once in C and only the
wanted leaves become objects; what a document leaves out is an empty object, so one `attrgetter` reaches every leaf
between two lists (`_Level`). A document of another shape than expected (a vendor sends a list where others send
text) is read again slowly, field by field: a wrong type in one field never hides the others. Hazard: a document
that is not JSON raises `NotJson`; one that is JSON but of another shape never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from operator import attrgetter, is_not
from types import GenericAlias
from typing import Annotated, Any, Final

import msgspec

# The slot of generated text: its values are measured, not read.
TEXT: Final = "text"

# A count beyond this is nobody's token count.
_COUNT_MAX: Final = 1_000_000_000_000

# A leaf beyond this is not made into an object on the slow way.
_LEAF_BYTES_MAX: Final = 65_536

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for octets that are no UTF-8 and for nesting without end, beside its own error."""

_Count: Final = Annotated[int, msgspec.Meta(ge=0, le=_COUNT_MAX)] | None
_NONES: Final = repeat(None)
_NULL: Final = b"null"

Found = dict[str, Any]
"""Slot to its first value that is not null; `text` to the number of its bytes, all its paths together."""

_Row = tuple[Any, ...]


class NotJson(ValueError):  # reads as what the document is
    """The document is not valid JSON."""


class _SeveralAnswers(Exception):
    """Two levels have a value for one slot: whose path was named first decides."""


@dataclass(slots=True)
class _Node:
    """One step of the paths: the slot that ends here and how early its path was named, or the fields below it."""

    slot: str = ""
    rank: int = 0
    is_list: bool = False
    steps: dict[str, _Node] = field(default_factory=dict)

    def leaves(self, begin: str = "") -> Iterator[tuple[str, _Node]]:
        """The nodes where paths end or lists begin, each with the attributes that lead to it."""
        for at, node in enumerate(self.steps.values()):
            path = f"{begin}{_attribute(at)}"
            if node.slot or node.is_list:
                yield path, node
            else:
                yield from node.leaves(f"{path}.")


class FieldReader:
    """
    Reads the slots of one set of paths. Made once, kept for the life of the process.

    The slots in `counts` hold whole numbers from 0 up; any other value of theirs is as if it were not there.
    """

    def __init__(self, paths: Mapping[str, tuple[str, ...]], *, counts: Collection[str] = ()) -> None:
        self._root = _Node()
        self._counts = frozenset(counts)
        for slot, alternatives in paths.items():
            for rank, path in enumerate(alternatives):
                _plant(self._root, slot, rank, path)
        kind = _struct_of(self._root, self._counts)
        self._level = _Level(self._root)
        self._one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        self._one_with_any_counts: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_struct_of(self._root, ()))
        self._many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(GenericAlias(list, (kind,)))

    def read(self, document: bytes) -> Found:
        """The slots of one JSON object; none of a document that is no object. Raises NotJson."""
        try:
            return self._level.found(self._one.decode(document))
        except AttributeError:
            # It is JSON, but has null where an object could be.
            return self._found_filled(self._one.decode(document))
        except (msgspec.ValidationError, _SeveralAnswers):
            return self._read_again(document)
        except _UNREADABLE as error:
            raise NotJson(type(error).__name__) from error

    def read_list(self, document: bytes) -> list[Found]:
        """The slots of each item of a JSON array; none of a document that is no array. Raises NotJson."""
        try:
            return list(map(self._found_filled, self._many.decode(document)))
        except msgspec.ValidationError:
            return [self._read_again(bytes(raw)) for raw in _items(_checked(document))]
        except _UNREADABLE as error:
            raise NotJson(type(error).__name__) from error

    def _found_filled(self, item: Any) -> Found:
        _fill_nulls(self._root, item)
        try:
            return self._level.found(item)
        except _SeveralAnswers:
            return self._read_slowly(msgspec.json.encode(item))

    def _read_again(self, document: bytes) -> Found:
        """A document with something else than was expected: in place of a count, or of an object. Raises NotJson."""
        try:
            found = self._found_filled(self._one_with_any_counts.decode(document))
        except msgspec.ValidationError:
            found = self._read_slowly(document)
        except _UNREADABLE as error:
            raise NotJson(type(error).__name__) from error
        for slot in self._counts & found.keys():
            count = _count(found.pop(slot))
            if count is not None:
                found[slot] = count
        return found

    def _read_slowly(self, document: bytes) -> Found:
        """Field by field. Raises NotJson where a field cannot be read at all."""
        found: Found = {}
        try:
            _collect_slowly(self._root, _checked(document), found, {})
        except _UNREADABLE as error:
            raise NotJson(type(error).__name__) from error
        return found


class _Level:
    """
    What the paths want of an object: of the document, or of a list's items.

    One getter gives the leaves, those named last first so that the first ones overwrite them, then the texts, then
    the lists below.
    """

    __slots__ = ("_get", "_is_deep", "_lists", "_slots", "_texts")

    def __init__(self, root: _Node) -> None:
        leaves = list(root.leaves())
        plain = [(path, node) for path, node in leaves if node.slot not in ("", TEXT)]
        plain.sort(key=lambda leaf: -leaf[1].rank)
        texts = [path for path, node in leaves if node.slot == TEXT]
        lists = [(path, node) for path, node in leaves if not node.slot]
        end = len(plain) + len(texts)
        self._get = _getter([*(path for path, _ in plain), *texts, *(path for path, _ in lists)])
        self._slots = tuple(node.slot for _, node in plain)
        self._texts = slice(len(plain), end) if texts else None
        self._lists = tuple((at, _Level(node)) for at, (_, node) in enumerate(lists, end))
        self._is_deep = bool(texts or lists)

    def found(self, item: Any) -> Found:
        """What an object has. Raises _SeveralAnswers; AttributeError where null is instead of an object."""
        row = self._get(item)
        found = self._leaves(row)
        if self._is_deep:
            self._add_below(row, found)
        return found

    def add(self, items: Sequence[Any], found: Found) -> None:
        """As `found`, of the items of a list."""
        row = self._get(items[0]) if len(items) == 1 else self._merged(items, found)
        leaves = self._leaves(row)
        if leaves:
            if not leaves.keys().isdisjoint(found):
                raise _SeveralAnswers
            found.update(leaves)
        self._add_below(row, found)

    def _leaves(self, row: _Row) -> Found:
        # The row is longer than the slots: it begins with the leaves.
        return dict(compress(zip(self._slots, row), map(is_not, row, _NONES)))  # noqa: B905

    def _add_below(self, row: _Row, found: Found) -> None:
        if self._texts is not None:
            _measure(row[self._texts], found)
        for at, level in self._lists:
            if row[at]:
                level.add(row[at], found)

    def _merged(self, items: Sequence[Any], found: Found) -> _Row:
        """One row of several objects: the first value of each leaf, every item of each list. Texts are measured."""
        rows = list(map(self._get, items))
        row = [next((value for value in column if value is not None), None) for column in zip(*rows, strict=True)]
        if self._texts is not None:
            for each in rows:
                _measure(each[self._texts], found)
            row[self._texts] = [None] * len(row[self._texts])
        for at, _ in self._lists:
            row[at] = [item for each in rows for item in each[at] or ()]
        return tuple(row)


def _plant(root: _Node, slot: str, rank: int, path: str) -> None:
    node = root
    for step in path.split("."):
        node = node.steps.setdefault(step.removesuffix("[]"), _Node())
        node.is_list = node.is_list or step.endswith("[]")
    node.slot, node.rank = slot, rank


def _attribute(at: int) -> str:
    """A field's name in its struct: JSON's names need not be Python's."""
    return f"field_{at}"


def _struct_of(node: _Node, counts: Collection[str]) -> type[msgspec.Struct]:
    """The type of the objects at a node; their fields are the steps below it. What is not there is empty or None."""
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for at, (name, child) in enumerate(node.steps.items()):
        names[_attribute(at)] = name
        fields.append((_attribute(at), *_field_type(child, counts)))
    return msgspec.defstruct("Fields", fields, rename=names, frozen=True, gc=False)


def _field_type(child: _Node, counts: Collection[str]) -> tuple[Any, Any]:
    """The type and what stands for a field that is not there."""
    if child.slot:
        return (msgspec.Raw if child.slot == TEXT else _Count if child.slot in counts else Any), None
    kind = _struct_of(child, counts)
    if child.is_list:
        return GenericAlias(list, (kind | None,)) | None, None
    return kind | None, kind()


def _fill_nulls(node: _Node, item: Any) -> None:
    """Put the empty object where the document says null instead of one; take null items out of lists."""
    for field_, child in zip(msgspec.structs.fields(item), node.steps.values(), strict=True):
        below = getattr(item, field_.name)
        if below is None:
            msgspec.structs.force_setattr(item, field_.name, field_.default)
        elif child.is_list:
            below[:] = filter(None, below)
            for each in below:
                _fill_nulls(child, each)
        elif not child.slot:
            _fill_nulls(child, below)


def _getter(paths: Sequence[str]) -> Callable[[Any], _Row]:
    """As `attrgetter`, which gives a tuple for two paths and more."""
    if len(paths) > 1:
        return attrgetter(*paths)
    if not paths:
        return lambda item: ()
    get = attrgetter(paths[0])
    return lambda item: (get(item),)


def _measure(texts: Iterable[msgspec.Raw | None], found: Found) -> None:
    """Add the text between the quotes; `null` is none."""
    for raw in filter(None, texts):
        size_bytes = len(raw) - 2
        if size_bytes > 0 and not (size_bytes == 2 and bytes(raw) == _NULL):
            found[TEXT] = found.get(TEXT, 0) + size_bytes


def _collect_slowly(node: _Node, document: msgspec.Raw, found: Found, ranks: dict[str, int]) -> None:
    try:
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return
    for name, child in node.steps.items():
        raw = members.get(name)
        if raw is None:
            continue
        if child.slot:
            _note_slowly(child, raw, found, ranks)
        else:
            for item in _items(raw) if child.is_list else (raw,):
                _collect_slowly(child, item, found, ranks)


def _note_slowly(leaf: _Node, raw: msgspec.Raw, found: Found, ranks: dict[str, int]) -> None:
    if leaf.slot == TEXT:
        _measure((raw,), found)
    elif leaf.rank < ranks.get(leaf.slot, leaf.rank + 1) and len(raw) <= _LEAF_BYTES_MAX:
        value = msgspec.json.decode(raw)
        if value is not None:
            found[leaf.slot] = value
            ranks[leaf.slot] = leaf.rank


def _count(value: object) -> int | None:
    """A whole number from 0 up, written as one or with a fraction of zero; None for all else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _COUNT_MAX else None


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        return []


def _checked(document: bytes) -> msgspec.Raw:
    """The document, read to its end: a wrong type may have hidden that it is not JSON at all."""
    try:
        return msgspec.json.decode(document, type=msgspec.Raw)
    except _UNREADABLE as error:
        raise NotJson(type(error).__name__) from error
