"""
Logs: the part of the management API that reads them.

`GET .../logs` lists, `GET .../logs/{id}` tells everything of one, `.../request` and `.../response` what was said. A
body that is JSON is given as such, anything else as text.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.analytics.admin.answers import succeeded
from services.analytics.admin.questions import read_question
from services.analytics.store.logs import LogStore, StoredBody
from services.kit.errors import NotFound

LOGS = "/client/v4/accounts/{account}/ai-gateway/gateways/{gateway}/logs"


class Logs:
    """Handlers on a store."""

    def __init__(self, *, store: LogStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get(LOGS, self.list),
            web.get(f"{LOGS}/{{log_id}}", self.log),
            web.get(f"{LOGS}/{{log_id}}/request", self.request),
            web.get(f"{LOGS}/{{log_id}}/response", self.response),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """One page. Raises QueryInvalid, DependencyUnavailable."""
        question = read_question(*_gateway(request), request.query)
        page = await self._store.query(question)
        about = {
            "page": question.page,
            "per_page": question.per_page,
            "count": len(page.logs),
            "total_count": page.total_count,
        }
        return succeeded(page.logs, result_info={**about, **page.extremes})

    async def log(self, request: web.Request) -> web.Response:
        """Everything of one. Raises NotFound, DependencyUnavailable."""
        log = await self._store.log(*_gateway(request), request.match_info["log_id"])
        if log is None:
            raise NotFound(f"no log {request.match_info['log_id']!r} in this gateway")
        return succeeded(log)

    async def request(self, request: web.Request) -> web.Response:
        """What was sent to the provider. Raises NotFound, DependencyUnavailable."""
        body = await self._body(request)
        return succeeded(_said(body.request, is_cut=body.is_request_cut))

    async def response(self, request: web.Request) -> web.Response:
        """What it answered. Raises NotFound, DependencyUnavailable."""
        body = await self._body(request)
        return succeeded(_said(body.response, is_cut=body.is_response_cut))

    async def _body(self, request: web.Request) -> StoredBody:
        log_id = request.match_info["log_id"]
        body = await self._store.body(*_gateway(request), log_id)
        if body is None:
            raise NotFound(f"no body of log {log_id!r} is kept")
        return body


def _gateway(request: web.Request) -> tuple[str, str]:
    return request.match_info["account"], request.match_info["gateway"]


def _said(text: str, *, is_cut: bool) -> object:
    """The body as JSON where it is JSON, byte for byte; else as text."""
    try:
        if not is_cut:
            msgspec.json.decode(text)
            return msgspec.Raw(text.encode())
    except msgspec.DecodeError:
        pass
    return text
