"""
What one request through the upstream client costs this process, against a local server that does nothing else.

Not part of the suite. `python -m tests.bench.upstream [--loop asyncio] [--profile] [--requests N] [--concurrency N]`
prints microseconds of CPU of this process per request (system calls included; the server is another process), for a
small JSON answer, an answer in chunks and a stream of events that come one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import socket
import time
from typing import cast

import uvloop

from services.edge.upstream.client import UpstreamClient
from services.edge.upstream.origin import Origin
from services.edge.upstream.request import UpstreamRequest
from services.edge.upstream.tls import client_context
from services.kit.clock import SystemClock

EVENTS = 20
_REQUEST_BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 900 + b'"}]}'
_ANSWER_BODY = b'{"id":"chatcmpl-1","choices":[{"message":{"content":"' + b"y" * 900 + b'"}}]}'
_HEADERS = (
    b"Date: Mon, 02 Feb 2026 10:00:00 GMT\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    b"x-request-id: req_0123456789\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"openai-processing-ms: 123\r\nstrict-transport-security: max-age=31536000\r\n"
)
_JSON = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (_HEADERS, len(_ANSWER_BODY), _ANSWER_BODY)
_CHUNKS = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (
    _HEADERS,
    b"%x\r\n%b\r\n" % (len(_ANSWER_BODY), _ANSWER_BODY),
)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % _HEADERS
_EVENT = b"80\r\ndata: %b\n\n\r\n" % (b"z" * 120)


class _Server(asyncio.Protocol):
    """Answers each request, taken to be one segment, by the second letter of its path."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, chunk: bytes) -> None:
        kind = chunk[6:7]
        if kind == b"s":
            self._transport.write(_STREAM_HEAD)
            self._next(EVENTS)
        else:
            self._transport.write(_JSON if kind == b"j" else _CHUNKS)

    def _next(self, left: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_EVENT if left else b"0\r\n\r\n")
        if left:
            asyncio.get_running_loop().call_later(0.001, self._next, left - 1)


def _serve(sock: socket.socket) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Server, sock=sock)
        await server.serve_forever()

    uvloop.run(run())


async def _measure(port: int, *, kind: bytes, requests: int, concurrency: int) -> float:
    origin = Origin.parse(f"http://127.0.0.1:{port}", is_private_allowed=True)
    head = (
        b"POST /%b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-x\r\n"
        b"Content-Length: %d\r\n\r\n" % (kind, origin.authority, len(_REQUEST_BODY))
    )
    async with UpstreamClient(clock=SystemClock(), tls=client_context()) as client:

        async def work(count: int) -> None:
            for _ in range(count):
                answer = await client.send(UpstreamRequest(origin, b"POST", head, _REQUEST_BODY, 5.0, 30.0))
                answer.take()
                while not answer.is_finished:
                    await answer.more()
                    answer.take()

        await asyncio.gather(*(work(20) for _ in range(concurrency)))
        started_s = time.process_time()
        await asyncio.gather(*(work(requests // concurrency) for _ in range(concurrency)))
        return (time.process_time() - started_s) / (requests // concurrency * concurrency) * 1e6


async def _measure_all(port: int, *, requests: int, concurrency: int) -> None:
    for kind, share in ((b"json", 1), (b"chunks", 1), (b"stream", 20)):
        cost_us = await _measure(port, kind=kind, requests=requests // share, concurrency=concurrency)
        note = f" ({cost_us / (EVENTS + 1):.1f} us an event)" if kind == b"stream" else ""
        print(f"{kind.decode():8} {cost_us:7.1f} us a request{note}")


def main() -> None:
    """Start the server, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
    server.start()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    port = listener.getsockname()[1]
    run(_measure_all(port, requests=options.requests, concurrency=options.concurrency))
    if options.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
