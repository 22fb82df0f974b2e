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
from aiohttp.web_protocol import _ErrInfo

if TYPE_CHECKING:
    from services.edge.plan import StepForm
    from services.edge.stages.authenticate import Authenticated
    from services.edge.stages.resolve import Resolved

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})(?=\r\n)", re.IGNORECASE)
_LENGTH_DIGITS_MAX = 9
_END = b"\r\n\r\n"
_NOT_RECURRING = frozenset((b"expect", b"upgrade", b"transfer-encoding"))


class Head:
    """One head. `resolved`: what it means under the snapshot named there; the other two hold as long as that does."""

    __slots__ = ("_after", "_before", "authenticated", "message", "resolved", "step_form")

    def __init__(self, message: RawRequestMessage, before: bytes, after: bytes) -> None:
        self.message = message
        self._before = before
        """Up to the length's digits; the whole head of a request without a body."""
        self._after = after
        self.resolved: Resolved | None = None
        self.authenticated: Authenticated | None = None
        self.step_form: StepForm | None = None
        """Of the native surface."""

    def note_resolved(self, resolved: Resolved) -> None:
        """What the head means from now on; what was made of its former meaning is forgotten."""
        self.resolved = resolved
        self.authenticated = self.step_form = None

    def body_of(self, segment: bytes) -> bytes | None:
        """The body, if this segment is one whole request with the same head; None if it must be parsed."""
        before, after = self._before, self._after
        if not segment.startswith(before):
            return None
        begin = len(before)
        if not after:
            return b"" if len(segment) == begin else None
        end = segment.find(b"\r", begin, begin + _LENGTH_DIGITS_MAX + 1)
        digits = segment[begin:end]
        if end < 0 or not digits.isdigit() or not segment.startswith(after, end):
            return None
        body = segment[end + len(after) :]
        return body if digits == b"%d" % len(body) else None


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


def recurring_head(segment: bytes, message: RawRequestMessage) -> Head | None:
    """The head of the request that this segment is, if it is of the kind that may recur."""
    if message.version != HttpVersion11 or message.should_close or message.upgrade or message.chunked:
        return None
    names = [name.lower() for name, _ in message.raw_headers]
    if not _NOT_RECURRING.isdisjoint(names):
        return None
    head = segment[: segment.find(_END) + len(_END)]
    lengths = names.count(b"content-length")
    if not lengths:
        return Head(message, head, b"") if len(head) == len(segment) else None
    found = _LENGTH.search(head)
    if lengths > 1 or found is None:
        return None
    return Head(message, head[: found.start(1)], head[found.end(1) :])
