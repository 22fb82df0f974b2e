"""
Health server: what Kubernetes, Prometheus and people ask a process, on a port of its own.

    /livez     200 while the event loop turns; touches nothing
    /readyz    200, or 503 with the reasons
    /metrics   Prometheus' text format
    /status    JSON about the process (status.py)

It knows no tenant and carries nothing of theirs. In one process the same routes are served on the admin port too, so
`health_routes` gives them to whoever has an application.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from services.kit.errors import SettingsInvalid
from services.kit.kinds import Address
from services.kit.status import Status
from services.kit.telemetry.metrics import CONTENT_TYPE, Metrics

STOP_S_MAX = 1.0
"""What stopping waits for answers under way."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def health_routes(status: Status, metrics: Metrics) -> list[web.RouteDef]:
    """The four routes."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        reasons = status.reasons()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics_text(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def whole_status(_: web.Request) -> web.Response:
        return web.Response(body=status.encode(), content_type="application/json")

    routes: dict[str, _Handler] = {
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics_text,
        "/status": whole_status,
    }
    return [web.get(path, handler) for path, handler in routes.items()]


@asynccontextmanager
async def health_server(address: Address, *, status: Status, metrics: Metrics) -> AsyncIterator[Address]:
    """Serves while the block runs; gives the address it really has."""
    application = web.Application()
    application.add_routes(health_routes(status, metrics))
    async with listening(application, address, setting="NARROWS_HEALTH_ADDRESS") as actual:
        yield actual


@asynccontextmanager
async def listening(application: web.Application, address: Address, *, setting: str) -> AsyncIterator[Address]:
    """An application on an address. Raises SettingsInvalid, naming the setting, where it cannot listen there."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S_MAX)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsInvalid(f"{setting}: cannot listen on {address}: {error.strerror}") from error
        yield Address(address.host, int(runner.addresses[0][1]))
    finally:
        await runner.cleanup()
