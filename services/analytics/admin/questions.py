"""
Questions: the query string of the log list, read strictly.

Filters come as one JSON array of `{key, operator, value}`, or flattened to `filters.key=..&filters.operator=..` by
clients that write lists of objects so. A parameter nobody knows is refused: a filter passed over would show too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from services.contracts.analytics.values import LogFilter, LogQuery
from services.kit.errors import QueryInvalid

if TYPE_CHECKING:
    from multidict import MultiMapping

_PARAMETERS = ("filters", "search", "order_by", "order_by_direction", "page", "per_page", "meta_info")
_FLAT = ("filters.key", "filters.operator", "filters.value")

Value = str | int | float | bool | None


class _Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    operator: str
    value: list[Value] | str | int | float | bool | None


def read_question(account: str, gateway: str, parameters: MultiMapping[str]) -> LogQuery:
    """The question of a query string. Raises QueryInvalid, naming the parameter and what would be right."""
    for name in parameters:
        if name not in _PARAMETERS and name not in _FLAT:
            raise QueryInvalid(f"{name}: unknown parameter, known are {', '.join(_PARAMETERS)}")
    return LogQuery(
        account=account,
        gateway=gateway,
        filters=(*_filters(parameters.get("filters", "")), *_flat_filters(parameters)),
        search=parameters.get("search", ""),
        order_by=parameters.get("order_by", "created_at"),
        order_by_direction=_direction(parameters.get("order_by_direction", "desc")),
        page=_integer("page", parameters.get("page", "1")),
        per_page=_integer("per_page", parameters.get("per_page", "20")),
        with_extremes=_flag("meta_info", parameters.get("meta_info", "false")),
    )


def _filters(text: str) -> tuple[LogFilter, ...]:
    if not text:
        return ()
    try:
        found = msgspec.json.decode(text, type=list[_Filter])
    except msgspec.MsgspecError as error:
        raise QueryInvalid(f"filters: must be a JSON array of {{key, operator, value: [...]}}: {error}") from error
    return tuple(LogFilter(each.key, each.operator, _values(each.value)) for each in found)


def _flat_filters(parameters: MultiMapping[str]) -> tuple[LogFilter, ...]:
    keys, operators, values = (list(parameters.getall(name, [])) for name in _FLAT)
    if len(keys) != len(operators):
        raise QueryInvalid(f"filters.operator: must be one for each filters.key, are {len(operators)} of {len(keys)}")
    if len(keys) == 1:
        return (LogFilter(keys[0], operators[0], tuple(values)),)
    if len(keys) != len(values):
        raise QueryInvalid(f"filters.value: must be one for each filters.key, are {len(values)} of {len(keys)}")
    return tuple(
        LogFilter(key, operator, (value,)) for key, operator, value in zip(keys, operators, values, strict=True)
    )


def _values(value: list[Value] | Value) -> tuple[Value, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _direction(text: str) -> Literal["asc", "desc"]:
    if text not in ("asc", "desc"):
        raise QueryInvalid(f"order_by_direction: must be asc or desc, is {text!r}")
    return "asc" if text == "asc" else "desc"


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise QueryInvalid(f"{name}: must be a number from 1, is {text!r}")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise QueryInvalid(f"{name}: must be true or false, is {text!r}")
    return text == "true"
