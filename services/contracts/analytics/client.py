"""Log reader: asks analytics in another process. In one process the service itself is the `LogReader`."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from services.contracts.analytics.conversation import QUERY, TAIL
from services.contracts.analytics.values import LogPage, LogQuery, TailRequest, TailRows
from services.kit.rpc.procedure import RemoteProcedures

QUERY_DEADLINE_S = 15.0
"""Above the store's own bound for a query, so that its answer says what was wrong."""


class RemoteLogReader:
    """`LogReader` over gRPC."""

    def __init__(self, *, procedures: RemoteProcedures) -> None:
        self._procedures = procedures

    async def query(self, query: LogQuery) -> LogPage:
        """One page of logs. Raises QueryInvalid, DependencyUnavailable."""
        return await self._procedures.ask(QUERY, query, deadline_s=QUERY_DEADLINE_S)

    async def tail(self, request: TailRequest) -> AsyncGenerator[TailRows, None]:
        """Rows of one gateway from now on, until the caller stops reading."""
        async for rows in self._procedures.follow(TAIL, request):
            yield rows
