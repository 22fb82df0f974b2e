"""
Graphs: does a route hold together?

Every output leads to an element, there is one start, everything is reached from it, and no way leads back to where it
has been. Each fault names its element, so an operator finds it in a long list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import assert_never

from services.router.resources.faults import Fault, Path
from services.router.resources.route import (
    Conditional,
    Element,
    End,
    Model,
    Percentage,
    RateLimit,
    RouteSpec,
    Start,
)
from services.router.resources.scope import Scope

_ELEMENTS: Path = ("spec", "elements")
_OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex")
_SUBJECT = re.compile(r"(metadata|headers|body)\.\S{1,256}")
_SHARE = re.compile(r"\d{1,3}(\.\d{1,4})?")


def route_faults(spec: RouteSpec, scope: Scope) -> Iterator[Fault]:
    """What is wrong with a route beyond the shape of its elements."""
    if spec.gateway not in scope.gateways:
        yield Fault(("spec", "gateway"), f'no Gateway "{spec.gateway}" in this namespace')
    positions: dict[str, int] = {}
    for position, element in enumerate(spec.elements):
        first = positions.setdefault(element.id, position)
        if first != position:
            yield Fault((*_ELEMENTS, position, "id"), f'element "{element.id}" stands already at {first}')
        yield from _element_faults(element, scope, (*_ELEMENTS, position))
    yield from _binding_faults(spec, positions)
    yield from _shape_faults(spec, positions)


def outputs_of(element: Element) -> dict[str, str]:
    """Output to the id of the element it leads to."""
    match element:
        case Start():
            return {"next": element.next}
        case Conditional():
            return {"true": element.when_true, "false": element.when_false}
        case Percentage():
            return {f"shares.{share}": target for share, target in element.shares.items()}
        case RateLimit() | Model():
            return {"success": element.success, "fallback": element.fallback}
        case End():
            return {}
        case _:
            assert_never(element)


def _binding_faults(spec: RouteSpec, positions: Mapping[str, int]) -> Iterator[Fault]:
    for position, element in enumerate(spec.elements):
        for output, target in outputs_of(element).items():
            here = (*_ELEMENTS, position, *output.split(".", 1))
            if target not in positions:
                yield Fault(here, f'element "{element.id}" leads to "{target}", which is no element')
            elif isinstance(spec.elements[positions[target]], Start):
                yield Fault(here, f'element "{element.id}" leads back to the start')


def _shape_faults(spec: RouteSpec, positions: Mapping[str, int]) -> Iterator[Fault]:
    starts = [element.id for element in spec.elements if isinstance(element, Start)]
    if len(starts) != 1:
        yield Fault(_ELEMENTS, f"must have exactly one element of type start, has {len(starts)}")
        return
    follows = {element.id: tuple(outputs_of(element).values()) for element in spec.elements}
    reached, cycle = _walk(follows, starts[0])
    if cycle:
        yield Fault((*_ELEMENTS, positions[cycle[0]]), f"elements lead in a circle: {' -> '.join(cycle)}")
    for position, element in enumerate(spec.elements):
        if element.id not in reached:
            yield Fault((*_ELEMENTS, position), f'element "{element.id}" is never reached')


def _walk(follows: Mapping[str, tuple[str, ...]], start: str) -> tuple[set[str], list[str]]:
    """What is reached from the start, and the first circle that was met. Deep first, without recursion."""
    reached, trail, cycle = {start}, [start], list[str]()
    waiting = [iter(follows[start])]
    while waiting:
        target = next(waiting[-1], None)
        if target is None:
            waiting.pop()
            trail.pop()
        elif target in trail:
            cycle = cycle or [*trail[trail.index(target) :], target]
        elif target in follows and target not in reached:
            reached.add(target)
            trail.append(target)
            waiting.append(iter(follows[target]))
    return reached, cycle


def _element_faults(element: Element, scope: Scope, path: Path) -> Iterator[Fault]:
    match element:
        case Model():
            for fault in scope.provider_faults(element.provider, (*path, "provider")):
                yield Fault(fault.path, f'element "{element.id}": {fault.message}')
            if element.retries is not None and not 0 <= element.retries <= 4:
                yield Fault((*path, "retries"), f'element "{element.id}": must be 0 to 4, is {element.retries}')
        case Percentage():
            yield from _share_faults(element, (*path, "shares"))
        case Conditional():
            for fault in _condition_faults(element.condition, (*path, "condition")):
                yield Fault(fault.path, f'element "{element.id}": {fault.message}')
        case Start() | RateLimit() | End():
            return


def _share_faults(element: Percentage, path: Path) -> Iterator[Fault]:
    told = f'element "{element.id}"'
    if "else" not in element.shares:
        yield Fault((*path, "else"), f"{told}: is required, to take the rest")
    numbers = [share for share in element.shares if share != "else"]
    for share in numbers:
        if not _SHARE.fullmatch(share) or not 0 < float(share) <= 100:
            yield Fault((*path, share), f"{told}: the key must be a percentage above 0 and at most 100, or else")
    total = sum(float(share) for share in numbers if _SHARE.fullmatch(share))
    if total > 100:
        yield Fault(path, f"{told}: shares must be at most 100 together, are {total:g}")


def _condition_faults(condition: Mapping[str, object], path: Path) -> Iterator[Fault]:
    if not condition:
        yield Fault(path, "must not be empty")
    for key, value in condition.items():
        here = (*path, key)
        if key in ("$and", "$or"):
            yield from _all_faults(value, here)
        elif key == "$not":
            yield from _nested_faults(value, here)
        elif not _SUBJECT.fullmatch(key):
            yield Fault(here, "must be metadata.<name>, headers.<name>, body.<path>, $and, $or or $not")
        elif isinstance(value, Mapping):
            for operator, operand in value.items():
                yield from _operator_faults(str(operator), operand, (*here, str(operator)))
        elif isinstance(value, list):
            yield Fault(here, "must be a value or a mapping of operators; for several values use $in")


def _all_faults(value: object, path: Path) -> Iterator[Fault]:
    if not isinstance(value, list) or not value:
        yield Fault(path, "must be a list of conditions")
        return
    for position, item in enumerate(value):
        yield from _nested_faults(item, (*path, position))


def _nested_faults(value: object, path: Path) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        yield from _condition_faults(value, path)
    else:
        yield Fault(path, "must be a condition")


def _operator_faults(operator: str, operand: object, path: Path) -> Iterator[Fault]:
    if operator not in _OPERATORS:
        yield Fault(path, f"unknown operator; known are {', '.join(_OPERATORS)}")
    elif operator in ("$in", "$nin"):
        if not isinstance(operand, list):
            yield Fault(path, "must be a list")
    elif operator == "$exists":
        if not isinstance(operand, bool):
            yield Fault(path, "must be true or false")
    elif operator == "$regex":
        yield from _regex_faults(operand, path)
    elif isinstance(operand, list | Mapping):
        yield Fault(path, "must be a string, a number or a boolean")


def _regex_faults(operand: object, path: Path) -> Iterator[Fault]:
    if not isinstance(operand, str) or len(operand) > 1024:
        yield Fault(path, "must be a string of at most 1024 characters")
        return
    try:
        re.compile(operand)
    except (re.error, OverflowError) as error:
        yield Fault(path, f"is no regular expression: {error}")
