"""
Modules: a process is a list of parts that are opened one after another and closed in reverse.

A module has a name, the modules it needs, and a way to open itself: an async context manager that is given what is open
already. `run` opens them all, says that the process is ready, waits for a signal, says that it is not ready any
more, and closes them, last one first. So what is at the edge stops taking work before what it leans on is gone.

Failures: a module that owns background work lets it fail inside its own TaskGroup, which ends the whole process with
one line that names the module. Hazard: closing is where work is drained and flushed, so each module bounds
how long it takes; a second signal does not wait for any of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from services.kit.errors import NarrowsError

T = TypeVar("T")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_OK = 0
EXIT_FAILED = 1
EXIT_AT_ONCE = 130
"""What shells show for a program that was interrupted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Module(Generic[T]):
    """One part of a process. `open` may ask `Parts` for what stands in `needs`, and for nothing else."""

    name: str
    open: Callable[[Parts], AbstractAsyncContextManager[T]]
    needs: tuple[Module[Any], ...] = ()


class Parts:
    """What is open."""

    def __init__(self) -> None:
        self._open: dict[Module[Any], object] = {}

    def __getitem__(self, module: Module[T]) -> T:
        """What that module gave when it was opened."""
        return cast(T, self._open[module])

    def add(self, module: Module[T], part: T) -> None:
        """It is open now."""
        self._open[module] = part


class ModuleFailed(Exception):
    """A module could not be opened, broke while it ran, or could not be closed. Ends the process."""

    def __init__(self, name: str, reason: BaseException) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


async def run(
    modules: Sequence[Module[Any]],
    *,
    announce: Callable[[bool], None],
    end_at_once: Callable[[int], object] = os._exit,
) -> int:
    """
    Open all, wait for a signal, close all; gives the process's exit status.

    `announce` hears True when everything is open, and False before anything is closed.
    """
    stop = asyncio.Event()
    try:
        with _signals(stop, end_at_once):
            await _run(modules, announce, stop)
    except ModuleFailed as failure:
        _tell(_innermost(failure))
        return EXIT_FAILED
    return EXIT_OK


def in_order(modules: Sequence[Module[Any]]) -> list[Module[Any]]:
    """Each after what it needs, otherwise as given; what is needed and not given is opened too."""
    ordered: list[Module[Any]] = []

    def place(module: Module[Any], above: tuple[Module[Any], ...]) -> None:
        if module in above:
            raise ValueError(f"{' > '.join(each.name for each in (*above, module))}: modules need each other")
        if module not in ordered:
            for needed in module.needs:
                place(needed, (*above, module))
            ordered.append(module)

    for module in modules:
        place(module, ())
    return ordered


async def _run(modules: Sequence[Module[Any]], announce: Callable[[bool], None], stop: asyncio.Event) -> None:
    parts = Parts()
    async with AsyncExitStack() as stack:
        for module in in_order(modules):
            if stop.is_set():
                return
            parts.add(module, await stack.enter_async_context(_named(module, parts)))
        announce(True)
        stack.callback(announce, False)
        await stop.wait()


@asynccontextmanager
async def _named(module: Module[T], parts: Parts) -> AsyncIterator[T]:
    """The module, with its name on whatever goes wrong in it."""
    try:
        async with module.open(parts) as part:
            yield part
    except ModuleFailed:
        raise
    except Exception as error:
        raise ModuleFailed(module.name, error) from error


@contextmanager
def _signals(stop: asyncio.Event, end_at_once: Callable[[int], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("%s again: ending at once", number.name)
            end_at_once(EXIT_AT_ONCE)
        else:
            _log.info("%s: stopping", number.name)
            stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, told, number)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _innermost(failure: ModuleFailed) -> ModuleFailed:
    """Where it began: a failure passes through every module that was opened before, and some wrap it in a group."""
    waiting: list[BaseException] = [failure.reason]
    while waiting:
        error = waiting.pop()
        if isinstance(error, ModuleFailed):
            return _innermost(error)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
    return failure


def _tell(failure: ModuleFailed) -> None:
    """One line. What we did not foresee comes with its traceback, once."""
    reason = failure.reason
    while isinstance(reason, BaseExceptionGroup):
        reason = reason.exceptions[0]
    if isinstance(reason, NarrowsError | OSError):
        _log.error("%s: %s", failure.name, reason)
    else:
        _log.error("%s: %s: %s", failure.name, type(reason).__name__, reason, exc_info=reason)
