"""
SDK calls: one call written as data, made by a client that waits or by one that awaits, and what came of it.

An outcome is plain values, so that two of them can be compared: what an SDK makes of a provider it talks to itself,
and of the same provider behind a gateway. Errors are outcomes too: their class, status and message.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

Outcome = tuple[str, object]


@dataclass(frozen=True)
class Call:
    """`method` is dotted from the client; `awaited_method` where the awaiting client calls it something else."""

    name: str
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    awaited_method: str = ""
    is_refused: bool = False
    """The provider is to refuse it."""


def call(name: str, method: str, awaited_method: str = "", **arguments: Any) -> Call:
    """A call, as a line of a table."""
    return Call(name, method, arguments, awaited_method)


def refused(name: str, method: str, awaited_method: str = "", **arguments: Any) -> Call:
    """A call that the provider is to refuse, as a line of a table."""
    return Call(name, method, arguments, awaited_method, is_refused=True)


def outcome(client: object, asked: Call) -> Outcome:
    """What comes of it with a client that waits."""
    try:
        return "answered", plain(attrgetter(asked.method)(client)(**asked.arguments))
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what came of the call
        return raised(error)


async def awaited_outcome(client: object, asked: Call) -> Outcome:
    """What comes of it with a client that awaits."""
    try:
        answer = attrgetter(asked.awaited_method or asked.method)(client)(**asked.arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, AsyncIterator) or (hasattr(answer, "__aiter__") and not hasattr(answer, "model_dump")):
            answer = [item async for item in answer]
        return "answered", plain(answer)
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what came of the call
        return raised(error)


def raised(error: Exception) -> Outcome:
    """An error as an outcome."""
    return f"raised {type(error).__name__}", (status_of(error), str(error))


def status_of(error: Exception) -> int | None:
    """The HTTP status an SDK's error was made from, wherever that SDK keeps it."""
    for holder, name in ((error, "status_code"), (error, "code"), (error, "status")):
        if isinstance(status := getattr(holder, name, None), int):
            return status
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def plain(answer: Any) -> object:
    """An SDK's object as values that can be compared; what tells of the connection itself is left out."""
    match answer:
        case None | str() | bytes() | int() | float():
            return answer
        case Mapping():
            return {key: plain(item) for key, item in answer.items() if key != "sdk_http_response"}
    if hasattr(answer, "model_dump"):
        return plain(answer.model_dump())
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return plain({item.name: getattr(answer, item.name) for item in dataclasses.fields(answer)})
    if hasattr(answer, "__fields__"):
        return plain({name: getattr(answer, name) for name in answer.__fields__})
    if isinstance(answer, Iterator) or hasattr(answer, "__iter__"):
        return [plain(item) for item in answer]
    if hasattr(answer, "content"):
        return answer.content
    return repr(answer)
