"""
ClickHouse's HTTP interface in front of the embedded engine, as far as the log store uses it.

Real SQL on a real engine; only the server around it is ours: logins, parameters, statuses and error texts are as the
server's. `is_down` answers nothing at all, `is_mute` does what it is told and then answers nothing.
`python -m tests.contract.clickhouse_front FOLDER` runs one and prints its URL.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import web

from services.analytics.store.chdb import ChdbEngine, open_chdb

USER, PASSWORD = "narrows", "p@ss/word"


class ClickHouseFront:
    """One server. `url` is what NARROWS_CLICKHOUSE_URL would be."""

    def __init__(self, engine: ChdbEngine) -> None:
        self.url = ""
        self.is_down = False
        self.is_mute = False
        self._engine = engine

    async def answer(self, request: web.Request) -> web.Response:
        if self.is_down:
            assert request.transport is not None
            request.transport.abort()
        if (request.headers.get("X-ClickHouse-User"), request.headers.get("X-ClickHouse-Key")) != (USER, PASSWORD):
            return _refused(403, "Code: 516. DB::Exception: narrows: Authentication failed. (AUTHENTICATION_FAILED)")
        asked = dict(parse_qsl(request.query_string, keep_blank_values=True))
        body = await request.read()
        text = asked["query"].encode() + b"\n" + body if "query" in asked else body
        if text.startswith(b"CREATE DATABASE"):
            return web.Response()
        values = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
        answer = await self._run(text, asked.get("default_format", "TabSeparated"), values)
        if self.is_mute:
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _run(self, text: bytes, output: str, values: dict[str, str]) -> web.Response:
        def query() -> bytes:
            return bytes(self._engine._connection.query(text, output, params=values).bytes())

        try:
            return web.Response(body=await self._engine._call(query))
        except RuntimeError as error:
            return _refused(400, f"{error} (version 26.5.1.1 (official build))")


def _refused(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


@asynccontextmanager
async def clickhouse_front(folder: Path) -> AsyncIterator[ClickHouseFront]:
    async with open_chdb(folder) as engine:
        front = ClickHouseFront(engine)
        application = web.Application(client_max_size=2**26)
        application.router.add_post("/", front.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"clickhouse://{USER}:p%40ss%2Fword@127.0.0.1:{runner.addresses[0][1]}/logs"
        try:
            yield front
        finally:
            await runner.cleanup()


async def _serve(folder: Path) -> None:
    async with clickhouse_front(folder) as front:
        print(front.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
