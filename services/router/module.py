"""Module: puts a router together and owns its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.contracts.router.values import Catalogue
from services.kit.clock import Clock
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import Tracer
from services.router.last_good import LastGood
from services.router.names import Resolve, resolve_names
from services.router.rule_book import RuleBook
from services.router.service import Router
from services.router.settings import RouterSettings
from services.router.sources import Source, open_source

COPY_NAME = "last-good.json"


@asynccontextmanager
async def router_module(
    *,
    settings: RouterSettings,
    clock: Clock,
    tracer: Tracer,
    metrics: Metrics,
    catalogue: Catalogue | None = None,
    resolve: Resolve = resolve_names,
) -> AsyncIterator[Router]:
    """
    A router that has looked at its resources once and follows them for as long as the block lasts.

    Without a `catalogue` the one that comes with Narrows is loaded. Raises SettingsInvalid if the resources that the
    settings name cannot be had at all; documents that are wrong are refused one by one and stop nothing. Where none
    is good, nothing is published until one is (`Router.is_published`).
    """
    source = open_source(settings.resources, environment=settings.environment, clock=clock)
    are_private_allowed = _are_private_allowed(settings, source)
    if catalogue is None:
        catalogue = await asyncio.to_thread(
            _load,
            simulator_url=settings.simulator_url,
            are_private_allowed=are_private_allowed,
            now_s=clock.wall_s(),
        )
    router = Router(
        source=source,
        rule_book=RuleBook(catalogue, are_private_allowed, resolve),
        clock=clock,
        tracer=tracer,
        metrics=metrics,
        last_good=_last_good(settings),
    )
    await router.recall()
    await router.load()
    async with asyncio.TaskGroup() as tasks:
        running = (
            tasks.create_task(router.follow(), name="router resources"),
            tasks.create_task(router.tick(), name="router health"),
        )
        try:
            yield router
        finally:
            for task in running:
                task.cancel()


def _last_good(settings: RouterSettings) -> LastGood | None:
    """What is built in is never wrong, so only a file has one."""
    if settings.folder is None or settings.resources is None:
        return None
    return LastGood(settings.folder / COPY_NAME, source=str(Path(settings.resources).resolve()))


def _are_private_allowed(settings: RouterSettings, source: Source) -> bool:
    if settings.are_private_upstreams_allowed is not None:
        return settings.are_private_upstreams_allowed
    return source.origin == "file"


def _load(*, simulator_url: str | None, are_private_allowed: bool, now_s: float) -> Catalogue:
    # Importing the price data takes most of a second, so only a router that starts does it.
    from services.router.catalogue import load_catalogue

    return load_catalogue(simulator_url=simulator_url, are_private_allowed=are_private_allowed, now_s=now_s)
