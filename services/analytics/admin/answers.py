"""
Answers: the envelope that everything on the admin port comes in.

Success is Cloudflare's REST envelope. An error has the gateway's own `error` list (docs/errors.md) and, for clients of
that REST API, the same list as `errors`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from services.kit.errors import NarrowsError

ERROR_CODE_HEADER = "cf-aig-error-code"


def succeeded(result: object, *, result_info: Mapping[str, object] | None = None) -> web.Response:
    """What was asked for."""
    envelope: dict[str, object] = {"success": True, "result": result, "errors": [], "messages": []}
    if result_info is not None:
        envelope["result_info"] = result_info
    return json_answer(envelope)


def failed(error: NarrowsError) -> web.Response:
    """Why not."""
    told = [{"code": error.code, "message": error.message}]
    envelope = {"success": False, "result": None, "error": told, "errors": told, "messages": []}
    answer = json_answer(envelope, status=error.http_status)
    answer.headers[ERROR_CODE_HEADER] = str(error.code)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return answer


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """Any value as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
