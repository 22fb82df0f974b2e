"""
The admin application: one middleware for everyone, then routes.

The middleware is the rim: it asks the gate first and gives every error one shape. What the management API of the
protocol has and this version does not is 501, never 404.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.analytics.admin.answers import failed, json_answer
from services.analytics.admin.gate import Gate
from services.analytics.admin.logs import Logs
from services.kit.errors import MethodNotAllowed, NarrowsError, NotBuilt, PathNotFound

_log = logging.getLogger(__name__)


def make_application(
    *,
    gate: Gate,
    logs: Logs,
    status: Callable[[], Mapping[str, object]],
    also: Sequence[web.RouteDef] = (),
) -> web.Application:
    """
    The admin port's application.

    `also`: what else this process serves there, behind the same gate; a /status among it gives way to this one.
    """

    async def tell_status(_: web.Request) -> web.Response:
        return json_answer(status())

    application = web.Application(middlewares=[_rim(gate)])
    others = [route for route in also if route.path != "/status"]
    application.add_routes([*logs.routes(), web.get("/status", tell_status), *others])
    application.router.add_route("*", "/client/v4/accounts/{account}/ai-gateway{rest:(/.*)?}", _not_built)
    return application


def _rim(gate: Gate) -> Middleware:
    @web.middleware
    async def rim(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            gate.check(request)
            return await handler(request)
        except NarrowsError as error:
            return failed(error)
        except web.HTTPNotFound:
            return failed(PathNotFound(f"nothing is at {request.path}"))
        except web.HTTPMethodNotAllowed as error:
            return failed(MethodNotAllowed(f"{request.path} takes {', '.join(sorted(error.allowed_methods))}"))
        except web.HTTPException:
            raise
        except Exception:  # noqa: BLE001 - a rim: whoever asked is told, the reason stays here
            _log.exception("a request to the admin port failed")
            return failed(NarrowsError("internal error"))

    return rim


async def _not_built(request: web.Request) -> NoReturn:
    raise NotBuilt(f"{request.method} {request.path} is not built yet")
