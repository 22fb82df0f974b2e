"""
Reader: from the bytes of a connection to answers.

httptools finds the parts; this file decides what they mean: interim answers are consumed, trailers too, a HEAD's
answer ends with its head, a head has bounds. It knows no transport, clock or loop, so it can be fed any bytes in any
pieces. It is strict: two lengths, an unknown transfer coding or bytes after the end make a connection that nobody may
use again, because whoever sees the boundary elsewhere could slip one tenant's answer to another.

Hazard: httptools swallows what a callback raises and raises an error of its own; the cause is in its context.
"""

from __future__ import annotations

import httptools

from services.edge.upstream.answer import UpstreamAnswer
from services.edge.upstream.tls import HTTP2_ONLY
from services.kit.errors import StreamBroken, UpstreamError, UpstreamProtocolError

HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 256
_FRAMING_BYTES_MAX = 64 * 1024
"""Chunk sizes, extensions and trailers that come without any byte of a body in between."""
_START = b"HTTP/1."
_HTTP2_FRAME_HEAD_BYTES = 9
_HTTP2_FIRST_FRAMES = (b"", b"\x04", b"\x07")
"""SETTINGS, or GOAWAY from a server that waits for the client's; empty: it has not come yet."""
_END_OF_HEAD = b"\r\n\r\n"
_BODILESS_INTERIM = (100, 102, 103)


class AnswerReader:
    """Reads the answers of one connection, one after the other. `is_reusable` counts when an answer is finished."""

    __slots__ = (
        "_accepts_upgrade",
        "_answer",
        "_has_started",
        "_held",
        "_is_head_request",
        "_is_message_complete",
        "_is_upgraded",
        "_parser",
        "_unproductive_bytes",
        "is_reusable",
    )

    _answer: UpstreamAnswer

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._held = b""
        self._is_upgraded = False

    def begin(self, answer: UpstreamAnswer, *, is_head_request: bool, accepts_upgrade: bool) -> None:
        """What comes next is this answer."""
        self._answer = answer
        self._is_head_request = is_head_request
        self._accepts_upgrade = accepts_upgrade
        self._unproductive_bytes = 0
        self._is_message_complete = False
        self._held = b""
        self._has_started = False
        self.is_reusable = False

    def rest(self) -> None:
        """Nothing is expected; lets go of the last answer."""
        del self._answer

    @property
    def has_bytes(self) -> bool:
        """Something of the answer has come."""
        return self._has_started or bool(self._held)

    def feed(self, chunk: bytes) -> None:
        """
        Take the next bytes.

        Raises UpstreamProtocolError before the head is whole and StreamBroken after it; then nobody may go on reading.
        """
        if not self._has_started:
            if not chunk.startswith(_START):
                chunk = self._checked_start(chunk)
                if not chunk:
                    return
            self._has_started = True
        if self._is_upgraded:
            self._answer.parts.append(chunk)
            return
        answer = self._answer
        self._unproductive_bytes += len(chunk)
        try:
            self._parser.feed_data(chunk)
        except httptools.HttpParserUpgrade as switch:
            self._upgrade(chunk[switch.args[0] :])
        except httptools.HttpParserError as error:
            self._misread(error)
        if answer.is_finished:
            if self._is_head_request:
                self._end_head_answer(chunk)
        elif answer.parts:
            self._unproductive_bytes = 0
        else:
            self._check_unproductive()

    def close(self) -> None:
        """The connection is gone; lets go of the parser, whose callbacks point back here."""
        del self._parser

    # Called by the parser, in the order in which the parts come.

    def on_message_begin(self) -> None:
        if self._answer.is_finished:
            raise UpstreamProtocolError("the provider sent more than one answer")

    def on_status(self, reason: bytes) -> None:
        self._answer.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if not answer.status:
            answer.parsed_headers.append((name, value))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if len(answer.parsed_headers) > HEADERS_MAX:
            raise UpstreamProtocolError(f"the provider's answer has more than {HEADERS_MAX} headers")
        if self._unproductive_bytes > HEAD_BYTES_MAX and _size_bytes(answer.parsed_headers) > HEAD_BYTES_MAX:
            raise _head_too_large()
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._skip_interim(status)
            return
        if status == 101 and not self._accepts_upgrade:
            raise UpstreamProtocolError("the provider switched protocols without being asked to")
        answer.is_framed = self._is_framed(status)
        answer.status = status
        if self._is_head_request:
            answer.is_finished = answer.is_framed = True
            self.is_reusable = self._parser.should_keep_alive()

    def on_body(self, chunk: bytes) -> None:
        self._answer.parts.append(chunk)

    def on_message_complete(self) -> None:
        answer = self._answer
        if not answer.status or answer.status == 101:
            return
        self._is_message_complete = True
        if not answer.is_finished:
            answer.is_finished = answer.is_framed = True
            self.is_reusable = self._parser.should_keep_alive()

    def _is_framed(self, status: int) -> bool:
        """Whether the head says where the body ends. Refuses transfer codings that a relay would have to undo."""
        for name, value in self._answer.parsed_headers:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                return True
            if size == 17 and name.lower() == b"transfer-encoding":
                if value.strip().lower() != b"chunked":
                    raise UpstreamProtocolError("the provider's answer has a transfer coding other than chunked")
                return True
        return status in (204, 304)

    def _skip_interim(self, status: int) -> None:
        answer = self._answer
        if status < 100:
            raise UpstreamProtocolError(f"the provider answered with status {status}")
        if status not in _BODILESS_INTERIM and self._is_framed(status):
            raise UpstreamProtocolError(f"the provider's interim answer {status} has a body")
        answer.parsed_headers = []
        answer.reason = b""

    def _upgrade(self, rest: bytes) -> None:
        self._is_upgraded = True
        self._answer.is_framed = False
        if rest:
            self._answer.parts.append(rest)

    def _end_head_answer(self, chunk: bytes) -> None:
        """The parser waits for a body that does not come, so a new one reads the next answer."""
        answer = self._answer
        if self._is_message_complete and not answer.parts:
            if answer.status not in (204, 304) and _is_chunked(answer.parsed_headers):
                self.is_reusable = False  # what completed it is a last chunk that a HEAD's answer does not have
            return
        if answer.parts or not _END_OF_HEAD.endswith(chunk[-len(_END_OF_HEAD) :]):
            answer.parts = []
            self.is_reusable = False
        self._parser = httptools.HttpResponseParser(self)

    def _check_unproductive(self) -> None:
        """What neither completes a head nor carries a body is bounded; the parser itself would take it for ever."""
        if not self._answer.status:
            if self._unproductive_bytes > HEAD_BYTES_MAX:
                raise _head_too_large()
        elif self._unproductive_bytes > HEAD_BYTES_MAX + _FRAMING_BYTES_MAX:
            raise StreamBroken("the provider's answer has too much framing")

    def _misread(self, error: httptools.HttpParserError) -> None:
        answer = self._answer
        if answer.is_finished:
            self.is_reusable = False
        elif isinstance(error.__context__, UpstreamError):
            raise error.__context__
        elif answer.status:
            raise StreamBroken(f"the provider's answer has malformed framing: {error}")
        else:
            raise UpstreamProtocolError(f"the provider's answer is not valid HTTP/1.1: {error}")

    def _checked_start(self, chunk: bytes) -> bytes:
        """The first bytes, once there are enough to know that they begin an answer in HTTP/1; empty until then."""
        start = self._held + chunk
        self._held = b""
        if start.startswith(_START):
            return start
        if _START.startswith(start) or (may_be_http2(start) and len(start) < _HTTP2_FRAME_HEAD_BYTES):
            self._held = start
            return b""
        raise UpstreamProtocolError(
            HTTP2_ONLY if may_be_http2(start) else "the provider's answer does not begin as HTTP/1 does"
        )


def may_be_http2(start: bytes) -> bool:
    """A server's first HTTP/2 frame is SETTINGS or GOAWAY on stream 0, and small: 00 00 xx 04 fl 00 00 00 00."""
    return start != b"" and (
        start[:2] == b"\0\0"[: len(start)]
        and start[3:4] in _HTTP2_FIRST_FRAMES
        and start[5:9] == b"\0\0\0\0"[: max(0, len(start) - 5)]
    )


def _is_chunked(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"transfer-encoding" for name, _ in headers)


def _size_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    """As on the wire: each with its colon, space and line end."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _head_too_large() -> UpstreamProtocolError:
    return UpstreamProtocolError(f"the provider's answer has a head of more than {HEAD_BYTES_MAX} bytes")
