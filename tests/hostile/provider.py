"""
The provider behind the attacked gateway, in a process of its own: quick, and it knows what has arrived.

By path: `bomb/<coding>` answers with a bomb, `flood` never stops answering, `_arrived` tells how many requests there
were and which targets nobody should have been able to send. Everything else is a small chat completion.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

import httptools
import uvloop

from tests.hostile.bombs import bomb

_ANSWER = json.dumps(
    {
        "object": "chat.completion",
        "model": "m",
        "choices": [{"finish_reason": "stop", "message": {"content": "yes"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }
).encode()
_FLOOD = b"10000\r\n" + b"data: x\n\n".ljust(65_536, b"x") + b"\r\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NEVER = b"smuggled"
"""Stands in the target of every request that a gateway must not find."""


class Provider(asyncio.Protocol):
    """One connection. `arrived` and `smuggled` are shared by all of them."""

    def __init__(self, seen: dict[str, int]) -> None:
        self._seen = seen
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._writable = asyncio.Event()
        self._flooding: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._target = url

    def on_message_complete(self) -> None:
        target = self._target
        if target.endswith(b"/_arrived"):
            self._answer(json.dumps(self._seen).encode())
            return
        self._seen["arrived"] += 1
        self._seen["smuggled"] += NEVER in target
        if target.endswith(b"/flood"):
            self._transport.write(_STREAM_HEAD)
            self._flooding = asyncio.get_running_loop().create_task(self._flood())
        elif b"/bomb/" in target:
            coding = target.rpartition(b"/")[2]
            self._answer(bomb(coding.decode()), b"Content-Encoding: %b\r\n" % coding)
        else:
            self._answer(_ANSWER)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self._flooding is not None:
            self._flooding.cancel()

    def _answer(self, body: bytes, header: bytes = b"") -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        self._transport.write(head % (header, len(body)) + body)

    async def _flood(self) -> None:
        while True:
            await self._writable.wait()
            self._transport.write(_FLOOD)
            await asyncio.sleep(0)


async def _serve() -> None:
    seen = {"arrived": 0, "smuggled": 0}
    server = await asyncio.get_running_loop().create_server(lambda: Provider(seen), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
