"""
The server: one call from its head to its end.

A call is entered in the journal before anything is answered, and its end is noted however it ends: by the
answer's last byte, by a break that the knobs asked for, or by the client's leaving, which aiohttp tells by
cancelling the handler or by failing a write. Hazard: a stalled answer waits for the client to leave, so it
is cancelled, never finished, when the server stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from services.kit.clock import Clock
from services.kit.errors import BodyTooLarge, Malformed
from services.simulator.answers.answer import Answer, whole
from services.simulator.journal import Call, Journal
from services.simulator.knobs import Knobs, read_knobs
from services.simulator.pace import Pause, Send, Stop, paced
from services.simulator.routes import answer, error_answer, local_path

BODY_BYTES_MAX: Final = 67_108_864

# Statuses that have no body by definition.
_BODILESS: Final = frozenset({204, 304})

Sleep = Callable[[float], Awaitable[None]]


class Simulator:
    """Answers requests. `sleep` is how it waits, in seconds."""

    def __init__(self, *, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._journal = Journal(clock=clock)
        self._sleep = sleep

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler of the low-level server."""
        path = local_path(request.raw_path)
        if path == "_calls":
            return _whole_response(whole(self._journal.told(request.query.get("session", ""))), HTTPStatus.OK)
        try:
            knobs = read_knobs(request.headers.items())
        except Malformed as error:
            return _whole_response(error_answer(path, HTTPStatus.BAD_REQUEST, error.message), HTTPStatus.BAD_REQUEST)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        call = self._journal.arrived(knobs.session, request.method, request.raw_path, headers)
        try:
            response, ended = await self._answer(request, path, knobs, call)
        except BodyTooLarge as error:
            response = _whole_response(error_answer(path, error.http_status, error.message), error.http_status)
            ended = "done"
        except (asyncio.CancelledError, ConnectionError):
            self._journal.ended(call, "client_gone")
            raise
        self._journal.ended(call, "cut" if ended == "cut" else "done")
        return response

    async def _answer(
        self, request: web.BaseRequest, path: str, knobs: Knobs, call: Call
    ) -> tuple[web.StreamResponse, str]:
        """The answer, sent, and how it ended."""
        body = await _body(request)
        self._journal.read(call, body)
        if knobs.latency_ms:
            await self._sleep(knobs.latency_ms / 1000)
        status, found = self._decided(request.method, path, body, knobs, call)
        headers = dict(found.headers)
        if status >= HTTPStatus.BAD_REQUEST and knobs.retry_after:
            headers["Retry-After"] = knobs.retry_after
        response = web.StreamResponse(status=status, headers=headers)
        if request.method == "HEAD" or status in _BODILESS:
            await response.prepare(request)
            await response.write_eof()
            return response, "done"
        response.headers["Content-Type"] = found.content_type
        if not found.is_stream:
            response.content_length = sum(len(piece) for piece in found.pieces)
        await response.prepare(request)
        return response, await self._send(request, response, found, knobs)

    def _decided(self, method: str, path: str, body: bytes, knobs: Knobs, call: Call) -> tuple[int, Answer]:
        """Status and answer: what the knobs ask for, else what the path says."""
        if knobs.status is not None and (knobs.status_times is None or call.number <= knobs.status_times):
            return knobs.status, error_answer(path, knobs.status, f"The simulator was asked for status {knobs.status}.")
        try:
            found = answer(method, path, body, knobs)
        except Malformed as error:
            return HTTPStatus.BAD_REQUEST, error_answer(path, HTTPStatus.BAD_REQUEST, error.message)
        if found is None:
            message = f"The simulator has no {method} /v1/{path}."
            return HTTPStatus.NOT_FOUND, error_answer(path, HTTPStatus.NOT_FOUND, message)
        return HTTPStatus.OK, found

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, found: Answer, knobs: Knobs) -> str:
        """Carry out the answer's steps; how it ended."""
        for step in paced(found.pieces, knobs, is_stream=found.is_stream):
            match step:
                case Send(piece):
                    await response.write(piece)
                case Pause(delay_ms):
                    await self._sleep(delay_ms / 1000)
                case Stop("cut"):
                    _close(request)
                    return "cut"
                case Stop():
                    await asyncio.Event().wait()
        await response.write_eof()
        return "done"


async def _body(request: web.BaseRequest) -> bytes:
    """The whole body, up to its bound."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        # The low-level server leaves this to its handler.
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"the simulator reads bodies of at most {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _whole_response(found: Answer, status: int) -> web.Response:
    return web.Response(status=status, body=b"".join(found.pieces), content_type="application/json")


def _close(request: web.BaseRequest) -> None:
    """Close after what was written has left, without the end of the body."""
    if request.transport is not None:
        request.transport.close()
