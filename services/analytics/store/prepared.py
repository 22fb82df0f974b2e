"""
Prepared engine: tables are there before the first statement, however late the store comes.

Analytics starts also while its store is down: edges keep their batches, and whoever asks is told. The first statement
after that finds a store whose tables may be missing or old, so each one waits until they have been made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.analytics.store.engine import Engine, Row, StatementRefused
from services.kit.errors import DependencyUnavailable, SettingsInvalid


class PreparedEngine:
    """An `Engine` that runs `prepare` once, before anything else."""

    def __init__(self, *, engine: Engine, prepare: Callable[[], Awaitable[object]]) -> None:
        self._engine = engine
        self._prepare = prepare
        self._is_prepared = False
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Make the tables, if that has not been done. Raises what the engine raises."""
        async with self._preparing:
            if not self._is_prepared:
                await self._prepare()
                self._is_prepared = True

    async def execute(self, statement: str, payload: bytes = b"") -> None:
        """Run a statement. Raises StatementRefused, DependencyUnavailable."""
        if not self._is_prepared:
            await self._prepare_late()
        await self._engine.execute(statement, payload)

    async def fetch(self, query: str, parameters: Mapping[str, str]) -> Sequence[Row]:
        """Rows of a SELECT. Raises StatementRefused, DependencyUnavailable."""
        if not self._is_prepared:
            await self._prepare_late()
        return await self._engine.fetch(query, parameters)

    async def _prepare_late(self) -> None:
        """What would have ended the process at its start is an outage now: it is no fault of the statement."""
        try:
            await self.prepare()
        except (StatementRefused, SettingsInvalid) as error:
            raise DependencyUnavailable(f"the log store's tables cannot be made: {error}") from None
