"""
Head: the head of a request, and how the next request with the same head is told without parsing it.

A client sends the same octets before each of its bodies, but for the digits of `Content-Length`. So a connection keeps
the last head that was parsed and compares: octet for octet, with those digits left out. What a head means cannot
differ where its octets do not, and the body's bounds are its length alone, so nothing is guessed. What the stages
made of a head is kept with it, and dies with the connection.

Only a plain head recurs: HTTP/1.1, one `Content-Length` or no body, nothing that asks the connection for something
(`Connection: close`, `Upgrade`, `Expect`). Whatever else comes is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from msgspec.structs import replace

from services.edge.port.arrival import Arrival, arrival_of

if TYPE_CHECKING:
    from services.contracts.router.values import Snapshot
    from services.edge.plan import StepForm
    from services.edge.port.connection import Connection
    from services.edge.stages.authenticate import Authenticated
    from services.edge.stages.resolve import Resolved

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})(?=\r\n)", re.IGNORECASE)
_END = b"\r\n\r\n"
_NOT_RECURRING = frozenset((b"expect", b"upgrade", b"transfer-encoding"))


class Head:
    """One head. `resolved`: what it means under `snapshot`; the other two hold as long as that does."""

    __slots__ = (
        "_after",
        "_before",
        "_begin",
        "_request",
        "authenticated",
        "message",
        "resolved",
        "snapshot",
        "step_form",
    )

    resolved: Resolved

    def __init__(self, message: RawRequestMessage, connection: Connection, before: bytes, after: bytes) -> None:
        self.message = message
        self._request = arrival_of(message, EMPTY_PAYLOAD, connection)
        """One with this head and no body yet."""
        self._before = before
        """Up to the length's digits; the whole head of a request without a body."""
        self._after = after
        self._begin = len(before) + len(after)
        """Where the last body began; one more for each of its length's digits."""
        self.snapshot: Snapshot | None = None
        self.authenticated: Authenticated | None = None
        self.step_form: StepForm | None = None
        """Of the native surface."""

    def note_resolved(self, resolved: Resolved) -> None:
        """What the head means from now on; what was made of its former meaning is forgotten."""
        self.snapshot, self.resolved = resolved.snapshot, resolved
        self.authenticated = self.step_form = None

    def parsed(self, payload: StreamReader) -> Arrival:
        """The request with this head that the parser has read."""
        return replace(self._request, head=self, payload=payload)

    def again(self, segment: bytes) -> Arrival | None:
        """
        The request, if this segment is one whole request with the same head; None if it must be parsed.

        The size of the segment says which length must stand in it, if that has as many digits as the last one.
        """
        before, after, begin = self._before, self._after, self._begin
        if not after:
            return replace(self._request, head=self, body=b"") if segment == before else None
        head = b"%b%d%b" % (before, len(segment) - begin, after)
        if len(head) != begin or len(segment) < begin:
            return self._resized(segment)
        return replace(self._request, head=self, body=segment[begin:]) if segment.startswith(head) else None

    def _resized(self, segment: bytes) -> Arrival | None:
        """The same where the length has more or fewer digits than the last one."""
        around = len(self._before) + len(self._after)
        rest_bytes = len(segment) - around
        if rest_bytes <= 0:
            return None
        digits_max = len(b"%d" % rest_bytes)
        for digits in (digits_max, digits_max - 1):
            if len(b"%d" % (rest_bytes - digits)) == digits:
                self._begin = around + digits
                return self.again(segment)
        return None


def end_of(segment: bytes, messages: Sequence[tuple[RawRequestMessage | _ErrInfo, StreamReader]]) -> int | None:
    """Where the last of these messages ends in the segment that began with the first; None where it cannot be told."""
    at = 0
    for message, payload in messages:
        while segment.startswith(b"\r\n", at):
            at += 2
        end = segment.find(_END, at)
        if isinstance(message, _ErrInfo) or end < 0 or message.chunked or not payload.is_eof():
            return None
        at = end + len(_END) + int(message.headers.get("Content-Length", "0"))
    return at


def recurring_head(segment: bytes, message: RawRequestMessage, connection: Connection) -> Head | None:
    """The head of the request that this segment is, if it is of the kind that may recur."""
    if message.version != HttpVersion11 or message.should_close or message.upgrade or message.chunked:
        return None
    names = [name.lower() for name, _ in message.raw_headers]
    if not _NOT_RECURRING.isdisjoint(names):
        return None
    head = segment[: segment.find(_END) + len(_END)]
    lengths = names.count(b"content-length")
    if not lengths:
        return Head(message, connection, head, b"") if len(head) == len(segment) else None
    found = _LENGTH.search(head)
    if lengths > 1 or found is None:
        return None
    return Head(message, connection, head[: found.start(1)], head[found.end(1) :])
