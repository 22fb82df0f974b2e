"""
Turns: the least that an event loop can be, for futures without time or files.

Waiting requests of the real ledger are coroutines on real futures. What these ask of a loop is only to be called
soon; `settle` calls them until nobody is left, so everybody has had his turn before the next event of the world.
It is a fraction of the work of asyncio's own loop, which looks for sockets each time around.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, cast


class Turns:
    """Implements of AbstractEventLoop what tasks and futures use."""

    def __init__(self) -> None:
        self._loop = cast(asyncio.AbstractEventLoop, self)
        self.soon: deque[tuple[Context, Callable[..., object], tuple[Any, ...]]] = deque()
        self._handle = asyncio.Handle(self.settle, (), self._loop)  # nobody cancels one, so all get the same

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop of this thread."""
        asyncio._set_running_loop(self._loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def settle(self) -> None:
        """Call everybody who wants to be called."""
        while self.soon:
            context, callback, values = self.soon.popleft()
            context.run(callback, *values)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self.soon.append((context or copy_context(), callback, args))
        return self._handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self._loop, **options)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing may go wrong unseen."""
        raise context.get("exception") or AssertionError(context["message"])


def at_once(work: Coroutine[Any, Any, object]) -> None:
    """Run what never waits, because everything behind it is memory."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("waited for something")
