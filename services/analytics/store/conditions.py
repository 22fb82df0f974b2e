"""
Conditions: what a log list is asked for, as SQL with parameters.

Every value a user sends becomes a typed parameter, also the key of a metadata field; the text of a condition is made
of this file and of `fields.py` alone. A filter's values are alternatives: `eq`, `contains`, `gt` and `lt` hold if they
hold for any of them, `neq` if it holds for all. An unknown number equals nothing, so `neq` finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from services.analytics.store.fields import (
    FIELDS_BY_NAME,
    METADATA_PREFIX,
    OPERATORS,
    SEARCHED,
    FieldKind,
    LogField,
)
from services.contracts.analytics.values import LogFilter, LogQuery
from services.kit.errors import QueryInvalid

FILTERS_MAX = 20
VALUES_MAX = 100

Value = str | int | float | bool | None
ParameterType = Literal["String", "Float64", "Int64"]

_COMPARED = {"eq": "=", "gt": ">", "lt": "<"}
_ALLOWED: dict[FieldKind, tuple[str, ...]] = {
    "text": OPERATORS,
    "object": ("eq", "neq", "contains"),
    "number": ("eq", "neq", "gt", "lt"),
    "time": ("eq", "neq", "gt", "lt"),
    "flag": ("eq", "neq"),
}


class Parameters:
    """Values on their way into a statement, by the names of their placeholders."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def add(self, value: str, kind: ParameterType = "String") -> str:
        """The placeholder that stands for this value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{kind}}}"


def where(query: LogQuery, parameters: Parameters) -> str:
    """The condition of a log list. Raises QueryInvalid, naming what is wrong and what would be right."""
    if len(query.filters) > FILTERS_MAX:
        raise QueryInvalid(f"filters: must be at most {FILTERS_MAX}, are {len(query.filters)}")
    conditions = [of_gateway(query.account, query.gateway, parameters)]
    if query.search:
        conditions.append(_search(query.search, parameters))
    conditions.extend(_filter(each, parameters, path=f"filters[{number}]") for number, each in enumerate(query.filters))
    return " AND ".join(conditions)


def of_gateway(account: str, gateway: str, parameters: Parameters) -> str:
    """Rows of one gateway: no statement reads without it."""
    return f"account = {parameters.add(account)} AND gateway = {parameters.add(gateway)}"


def moment(milliseconds: int, parameters: Parameters) -> str:
    """A time, as the tables have it."""
    return f"fromUnixTimestamp64Milli({parameters.add(str(milliseconds), 'Int64')}, 'UTC')"


def _search(text: str, parameters: Parameters) -> str:
    sought = parameters.add(text)
    return "(" + " OR ".join(f"positionCaseInsensitiveUTF8({name}, {sought}) > 0" for name in SEARCHED) + ")"


def _filter(each: LogFilter, parameters: Parameters, *, path: str) -> str:
    kind, compare = _comparison(each, parameters, path=path)
    if each.operator not in OPERATORS:
        raise QueryInvalid(f"{path}.operator: must be one of {', '.join(OPERATORS)}, is {each.operator!r}")
    if each.operator not in _ALLOWED[kind]:
        allowed = ", ".join(_ALLOWED[kind])
        raise QueryInvalid(f"{path}.operator: {each.key} takes {allowed}, not {each.operator!r}")
    if not 0 < len(each.value) <= VALUES_MAX:
        raise QueryInvalid(f"{path}.value: must be 1 to {VALUES_MAX} values, are {len(each.value)}")
    operator = "eq" if each.operator == "neq" else each.operator
    matches = " OR ".join(compare(operator, value, f"{path}.value[{n}]") for n, value in enumerate(each.value))
    return f"NOT ({matches})" if each.operator == "neq" else f"({matches})"


_Compare = Callable[[str, Value, str], str]


def _comparison(each: LogFilter, parameters: Parameters, *, path: str) -> tuple[FieldKind, _Compare]:
    """What kind of thing the key names, and how one value is compared with it."""
    if each.key.startswith(METADATA_PREFIX):
        name = parameters.add(each.key.removeprefix(METADATA_PREFIX))
        return "text", lambda operator, value, _: _metadata(name, operator, value, parameters)
    field = FIELDS_BY_NAME.get(each.key)
    if field is None:
        known = ", ".join((*FIELDS_BY_NAME, f"{METADATA_PREFIX}<name>"))
        raise QueryInvalid(f"{path}.key: must be one of {known}, is {each.key!r}")
    return field.kind, lambda operator, value, at: _plain(field, operator, value, _Place(parameters, at))


class _Place:
    """Where a value stands in the question, and where it goes."""

    def __init__(self, parameters: Parameters, path: str) -> None:
        self.parameters = parameters
        self.path = path


def _plain(field: LogField, operator: str, value: Value, place: _Place) -> str:
    if value is None:
        return _unknown(field, operator, place)
    sought = _sought(field.kind, value, place)
    if operator == "contains":
        return f"position({field.expression}, {sought}) > 0"
    return f"ifNull({field.expression} {_COMPARED[operator]} {sought}, 0)"


def _unknown(field: LogField, operator: str, place: _Place) -> str:
    if operator != "eq":
        raise QueryInvalid(f"{place.path}: null goes with eq and neq only")
    return f"isNull({field.expression})" if field.kind == "number" else f"toString({field.expression}) = ''"


def _sought(kind: FieldKind, value: Value, place: _Place) -> str:
    """The placeholder of a value, as the kind of field needs it."""
    if kind == "number":
        return place.parameters.add(repr(_number(value, place.path)), "Float64")
    if kind == "time":
        return moment(_milliseconds(value, place.path), place.parameters)
    if kind == "flag":
        return "1" if _flag(value, place.path) else "0"
    return place.parameters.add(_text(value))


def _metadata(name: str, operator: str, value: Value, parameters: Parameters) -> str:
    """One entry of the metadata object: a string, a number or a boolean, or not there."""
    raw = f"JSONExtractRaw(metadata, {name})"
    if value is None:
        return f"{raw} IN ('', 'null')"
    if isinstance(value, int | float) and not isinstance(value, bool) and operator != "contains":
        is_number = f"JSONType(metadata, {name}) IN ('Int64', 'UInt64', 'Double')"
        sought = parameters.add(repr(float(value)), "Float64")
        return f"({is_number} AND JSONExtractFloat(metadata, {name}) {_COMPARED[operator]} {sought})"
    text = f"if(JSONType(metadata, {name}) = 'String', JSONExtractString(metadata, {name}), {raw})"
    sought = parameters.add(_text(value))
    if operator == "contains":
        return f"position({text}, {sought}) > 0"
    return f"({raw} != '' AND {text} {_COMPARED[operator]} {sought})"


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(value: Value, path: str) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise QueryInvalid(f"{path}: must be a number, is {value!r}")


def _flag(value: Value, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise QueryInvalid(f"{path}: must be true or false, is {value!r}")


def _milliseconds(value: Value, path: str) -> int:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise QueryInvalid(f"{path}: must be a time as 2026-01-31T12:00:00Z, is {value!r}")
