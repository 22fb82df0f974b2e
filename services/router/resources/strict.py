"""
Strict: holds a document against its model and tells everything that does not fit.

msgspec would stop at the first fault and word it for programmers. This walks the same types that msgspec converts to
(`msgspec.inspect`), so a model is written once; a document without faults here converts. Values come from YAML or
JSON: mappings, lists, strings, numbers, booleans and null.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from services.router.resources.faults import Fault, Path, quoted

Model = TypeVar("Model", bound=msgspec.Struct)

Extra = Mapping[str, Any]

_NONE: Extra = {}
_DEPTH_MAX = 32
_KEY_SHOWN_LENGTH_MAX = 24
"""What is longer was hardly meant as the name of a field; somebody may have written a secret where one belongs."""


def parse(value: object, model: type[Model], *, path: Path) -> Model | list[Fault]:
    """The model, or everything that is wrong with the value."""
    faults = list(_faults(value, _shape_of(model), path))
    if faults:
        return faults
    return msgspec.convert(value, model)


@functools.cache
def _shape_of(model: type[msgspec.Struct]) -> inspect.Type:
    """What msgspec knows of a model: always the same, and 10 ms of work."""
    return inspect.type_info(model)


def _faults(value: object, shape: inspect.Type, path: Path, extra: Extra = _NONE) -> Iterator[Fault]:
    """`extra` is of the nearest annotation: it words patterns and hides secrets."""
    match shape:
        case inspect.Metadata():
            yield from _faults(value, shape.type, path, shape.extra or extra)
        case inspect.UnionType():
            yield from _union_faults(value, shape, path, extra)
        case inspect.StructType():
            yield from _struct_faults(value, shape, path)
        case inspect.DictType():
            yield from _mapping_faults(value, shape, path)
        case inspect.VarTupleType():
            yield from _list_faults(value, shape, path)
        case inspect.StrType():
            yield from _string_faults(value, shape, path, extra)
        case inspect.LiteralType():
            yield from _literal_faults(value, shape, path)
        case inspect.IntType() | inspect.FloatType():
            yield from _number_faults(value, shape, path)
        case inspect.BoolType():
            if not isinstance(value, bool):
                yield Fault(path, f"must be true or false, is {kind_of(value)}")
        case inspect.AnyType():
            yield from _plain_faults(value, path)
        case _:
            raise TypeError(f"resources use no {type(shape).__name__}")


def _union_faults(value: object, shape: inspect.UnionType, path: Path, extra: Extra) -> Iterator[Fault]:
    options = [option for option in shape.types if not isinstance(option, inspect.NoneType)]
    if value is None and len(options) < len(shape.types):
        return
    if len(options) == 1:
        yield from _faults(value, options[0], path, extra)
        return
    yield from _tagged_faults([option for option in options if isinstance(option, inspect.StructType)], value, path)


def _tagged_faults(options: list[inspect.StructType], value: object, path: Path) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, f"must be a mapping, is {kind_of(value)}")
        return
    tag_field = str(options[0].tag_field)
    by_tag = {str(option.tag): option for option in options}
    tag = value.get(tag_field)
    if tag_field not in value:
        yield Fault((*path, tag_field), f"is required, one of {', '.join(by_tag)}")
    elif not isinstance(tag, str) or tag not in by_tag:
        yield Fault((*path, tag_field), f"must be one of {', '.join(by_tag)}, is {_shown(tag)}")
    else:
        yield from _struct_faults(value, by_tag[tag], path)


def _struct_faults(value: object, shape: inspect.StructType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, f"must be a mapping, is {kind_of(value)}")
        return
    fields = {field.encode_name: field for field in shape.fields}
    for key in value:
        if key not in fields and key != shape.tag_field:
            yield _unknown_key(key, list(fields), path)
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, (*path, name))
        elif field.required:
            yield Fault((*path, name), "is required")


def _mapping_faults(value: object, shape: inspect.DictType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, f"must be a mapping, is {kind_of(value)}")
        return
    yield from _length_faults(value, shape, path)
    for key, item in value.items():
        if not isinstance(key, str):
            yield Fault((*path, str(key)), "the key must be a string; put it in quotes")
            continue
        for fault in _faults(key, shape.key_type, (*path, key)):
            yield Fault(fault.path, f"the key {fault.message}")
        yield from _faults(item, shape.value_type, (*path, key))


def _list_faults(value: object, shape: inspect.VarTupleType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path, f"must be a list, is {kind_of(value)}")
        return
    yield from _length_faults(value, shape, path)
    for position, item in enumerate(value):
        yield from _faults(item, shape.item_type, (*path, position))


def _string_faults(value: object, shape: inspect.StrType, path: Path, extra: Extra) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(path, f"must be a string, is {kind_of(value)}")
    elif shape.min_length is not None and len(value) < shape.min_length:
        yield Fault(path, "must not be empty")
    elif shape.max_length is not None and len(value) > shape.max_length:
        yield Fault(path, f"must be at most {shape.max_length} characters long, has {len(value)}")
    elif shape.pattern is not None and not re.fullmatch(shape.pattern.removeprefix("^").removesuffix("$"), value):
        rule = extra.get("rule") or f"must match {shape.pattern.removeprefix('^').removesuffix('$')}"
        yield Fault(path, rule if extra.get("is_secret") else f"{rule}, is {_shown(value)}")


def _literal_faults(value: object, shape: inspect.LiteralType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, str) or value not in shape.values:
        words = ", ".join(str(word) for word in shape.values)
        yield Fault(path, f"must be one of {words}, is {_shown(value)}")


def _number_faults(value: object, shape: inspect.IntType | inspect.FloatType, path: Path) -> Iterator[Fault]:
    is_whole = isinstance(shape, inspect.IntType)
    if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)):
        kind = str(value) if isinstance(value, float) else kind_of(value)
        yield Fault(path, f"must be a {'whole number' if is_whole else 'number'}, is {kind}")
    elif not math.isfinite(value):
        yield Fault(path, f"must be a finite number, is {value}")
    elif shape.gt is not None and value <= shape.gt:
        yield Fault(path, f"must be above {_number(shape.gt)}, is {_number(value)}")
    elif shape.ge is not None and value < shape.ge:
        yield Fault(path, f"must be at least {_number(shape.ge)}, is {_number(value)}")
    elif shape.le is not None and value > shape.le:
        yield Fault(path, f"must be at most {_number(shape.le)}, is {_number(value)}")


def kind_of(value: object) -> str:
    """What a value is, in words; never the value itself."""
    match value:
        case None:
            return "empty"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case Mapping():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}; put it in quotes"


def _unknown_key(key: object, known: list[str], path: Path) -> Fault:
    if not isinstance(key, str):
        return Fault((*path, str(key)), "the key must be a string; put it in quotes")
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return Fault((*path, key), f"unknown key; did you mean {near[0]}?")
    if len(key) > _KEY_SHOWN_LENGTH_MAX:
        return Fault(path, f"unknown key of {len(key)} characters; known here: {', '.join(known) or 'none'}")
    return Fault((*path, key), f"unknown key; known here: {', '.join(known) or 'none'}")


def _length_faults(
    value: list[object] | Mapping[object, object], shape: inspect.VarTupleType | inspect.DictType, path: Path
) -> Iterator[Fault]:
    if shape.min_length is not None and len(value) < shape.min_length:
        yield Fault(path, f"must hold at least {shape.min_length}, holds {len(value)}")
    if shape.max_length is not None and len(value) > shape.max_length:
        yield Fault(path, f"must hold at most {shape.max_length}, holds {len(value)}")


def _plain_faults(value: object, path: Path, depth: int = 0) -> Iterator[Fault]:
    """A value of no fixed shape still has to be made of what JSON knows, and not be nested without end."""
    if depth > _DEPTH_MAX:
        yield Fault(path, f"must not be nested deeper than {_DEPTH_MAX}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _plain_faults(item, (*path, key), depth + 1)
            else:
                yield Fault((*path, str(key)), "the key must be a string; put it in quotes")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _plain_faults(item, (*path, position), depth + 1)
    elif not (value is None or isinstance(value, str | bool | int | float)):
        yield Fault(path, f"must be a string, a number or a boolean, is {kind_of(value)}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else kind_of(value)
