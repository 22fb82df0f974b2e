"""
Edges in this process on uvloop, as in production, in front of a provider that a test scripts.

Most tests want an edge with nothing special about it; a module's tests share one, because starting it costs more than
they do. So each module here says `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from tests.protocol.port.edges import RunningEdge, running_edge
from tests.protocol.port.provider import Provider

Serve = Callable[..., Awaitable[RunningEdge]]

PROVIDERS = """\
  providers:
    openai: {{baseURL: "{url}/v1"}}
    anthropic: {{baseURL: "{url}"}}
    google-ai-studio: {{baseURL: "{url}"}}
    parallel: {{baseURL: "{url}"}}
    groq: {{baseURL: "http://127.0.0.1:1"}}
"""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listening_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with provider.server:
        yield provider


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def provider(listening_provider: Provider) -> Provider:
    """A provider that answers `{"ok":1}` until told otherwise; `groq` is one that does not listen."""
    listening_provider.forget()
    return listening_provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningEdge]:
    """The module's edge, with nothing special about it."""
    folder = tmp_path_factory.mktemp("edge")
    async with running_edge(folder, gateway_document("main", "", listening_provider)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def serve(provider: Provider, tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts an edge whose gateway `local/main` has this spec, and every provider at the scripted one."""
    async with AsyncExitStack() as stack:

        async def start(spec: str = "", *, more: str = "", **settings: Any) -> RunningEdge:
            resources = gateway_document("main", spec, provider) + more
            return await stack.enter_async_context(running_edge(tmp_path, resources, **settings))

        yield start


def gateway_document(name: str, spec: str, provider: Provider) -> str:
    """A Gateway; `spec` is in YAML's block style, indented by two."""
    own = "" if "providers:" in spec else PROVIDERS.format(url=provider.url)
    return (
        "---\napiVersion: narrows.dev/v1alpha1\nkind: Gateway\n"
        f"metadata: {{namespace: local, name: {name}}}\nspec:\n{own}{spec.format(url=provider.url)}\n"
    )
