"""
Author: writes a long conversation by chance, each request like the one before but for one thing, or not even that.

That is what tempts a parser that remembers heads: the same octets again, the same octets but for one digit, the same
headers in another order. The same seed writes the same conversation.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.protocol.port.dialogue import CHAT, CONTINUE, GATEWAY, Header, Said, in_chunks

TOKEN = b"let-me-in"
GUARDED = b"/v1/local/guarded/openai/"
_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"QUERY", b"OPTIONS")
_FRAMING = b"?framing"
"""Stands among the headers where the body's framing goes."""
_REPEATED_OF_3 = 1
_NOT_ANYTHING = (b"host", b"connection", b"expect", b"cf-aig-", _FRAMING)
"""Beginnings of the headers that are changed only by a rule of their own, because they decide what becomes of it."""

_ONLY_ONCE = (b"user-agent", b"content-type")
"""Headers that HTTP does not know twice."""


@dataclass
class _Draft:
    """What the author changes from one request to the next."""

    method: bytes = b"POST"
    target: bytes = CHAT
    headers: list[Header] = field(
        default_factory=lambda: [
            (b"Host", b"gateway.test"),
            (b"User-Agent", b"client/1.0"),
            (b"Accept", b"*/*"),
            (b"Authorization", b"Bearer sk-0123456789"),
            (b"OpenAI-Beta", b"assistants=v2"),
            (b"Content-Type", b"application/json"),
            (_FRAMING, b""),
        ]
    )
    body: bytes = b'{"model":"gpt-x"}'
    framing: str = "length"
    version: bytes = b"1.1"
    status: int = 200


class Author:
    """Writes requests."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._draft = _Draft()
        self._number = 0
        self._spelling = b"Content-Length"

    def next(self) -> Said:
        """One more request."""
        if self._chance.randrange(40) == 0:
            self._draft = _Draft()
        elif self._chance.randrange(3) >= _REPEATED_OF_3:
            self._chance.choice(_CHANGES)(self)
        return self._said()

    def some(self) -> list[Said]:
        """One request, or several to be written in one go."""
        return [self.next() for _ in range(self._chance.choice((1, 1, 1, 2, 3, 4, 5)))]

    def cuts(self, size: int) -> tuple[int, ...]:
        """Where to cut so many octets into segments."""
        match self._chance.randrange(12):
            case 0:
                return tuple(range(size))
            case 1 | 2 | 3 | 4:
                return tuple(self._chance.randrange(size) for _ in range(self._chance.randint(1, 4)))
            case _:
                return ()

    def _said(self) -> Said:
        draft, framing = self._draft, self._framing()
        headers = [pair for pair in draft.headers if pair[0] != _FRAMING]
        if framing is not None:
            headers.insert([name for name, _ in draft.headers].index(_FRAMING), framing)
        if draft.version == b"1.0":
            headers.append((b"Connection", b"keep-alive"))
        body = draft.body if framing is not None else b""
        content = self._chunks(body) if framing is not None and draft.framing == "chunked" else body
        return Said(draft.method, draft.target, tuple(headers), content, body, draft.version, draft.status)

    def _framing(self) -> Header | None:
        """None: no body is sent. A request that will be refused brings none, so that its connection goes on."""
        draft = self._draft
        if draft.framing == "none" or draft.status != 200:
            return None
        if draft.framing == "chunked" and draft.version == b"1.1":
            return b"Transfer-Encoding", self._chance.choice((b"chunked", b"Chunked"))
        draft.framing = "length"
        zeros = b"0" * self._chance.choice((0, 0, 0, 0, 1, 3))
        return self._spelling, zeros + b"%d" % len(draft.body)

    def _chunks(self, body: bytes) -> bytes:
        at = sorted(self._chance.randrange(len(body) + 1) for _ in range(3))
        return in_chunks((body[: at[0]], body[at[0] : at[1]], body[at[1] : at[2]], body[at[2] :]))

    # What may change.

    def _another_body(self) -> None:
        self._draft.body = self._octets(self._chance.randrange(200))
        self._draft.framing = self._chance.choice(("length", "chunked"))

    def _another_body_of_that_length(self) -> None:
        self._draft.body = self._octets(len(self._draft.body))

    def _a_body_that_reads_like_this_request(self) -> None:
        self._draft.body = self._said().head

    def _no_body(self) -> None:
        self._draft.framing = "none"

    def _chunks_instead(self) -> None:
        self._draft.framing, self._draft.version = "chunked", b"1.1"

    def _another_method(self) -> None:
        self._draft.method = self._chance.choice(_METHODS)

    def _another_query(self) -> None:
        self._draft.target = self._draft.target.partition(b"?")[0] + b"?n=%d" % self._count()

    def _another_path(self) -> None:
        path = self._chance.choice((b"chat/completions", b"chat/completionz", b"models", b"models/a%20b"))
        self._to(GATEWAY + path)

    def _the_absolute_form(self) -> None:
        if self._draft.target.startswith(b"/"):
            self._draft.target = b"http://gateway.test" + self._draft.target

    def _another_host(self) -> None:
        self._put(b"Host", b"gateway-%d.test:80" % self._count())

    def _another_value(self) -> None:
        index = self._header()
        name, value = self._draft.headers[index]
        values = (value.swapcase(), value[::-1], value + b"%d" % self._count(), b"\xe9" + value, b"", b"\t %b " % value)
        changed = self._chance.choice(values)
        self._draft.headers[index] = name, changed if changed.strip() or not changed else b"x"

    def _another_case(self) -> None:
        if self._chance.randrange(3) == 0:
            self._spelling = self._spelling.swapcase()
        else:
            index = self._header()
            name, value = self._draft.headers[index]
            self._draft.headers[index] = name.swapcase(), value

    def _another_order(self) -> None:
        self._chance.shuffle(self._draft.headers)

    def _a_header_twice(self) -> None:
        name, value = self._draft.headers[self._header()]
        if name.lower() in _ONLY_ONCE:
            return
        copy = name, self._chance.choice((value, b"again-%d" % self._count()))
        self._draft.headers.insert(self._chance.randrange(len(self._draft.headers) + 1), copy)

    def _a_header_more(self) -> None:
        self._draft.headers.append((b"X-Added-%d" % self._count(), b"%d" % self._number))

    def _a_header_less(self) -> None:
        if len(self._places()) > 2:
            del self._draft.headers[self._header()]

    def _a_header_that_stops_here(self) -> None:
        name = self._chance.choice((b"Cookie", b"X-Forwarded-For", b"Via", b"TE", b"cf-aig-collect-log-payload"))
        self._put(name, b"false")

    def _a_header_that_connection_names(self) -> None:
        index = self._header()
        if self._draft.version == b"1.1":
            self._put(b"Connection", b"keep-alive, " + self._draft.headers[index][0].lower())

    def _another_event(self) -> None:
        self._put(b"cf-aig-event-id", b"e-%d" % self._count())

    def _an_expectation(self) -> None:
        self._put(*CONTINUE)

    def _another_version(self) -> None:
        self._draft.version = b"1.0" if self._draft.version == b"1.1" else b"1.1"
        self._draft.headers = [pair for pair in self._draft.headers if pair[0] != b"Connection"]

    def _an_unknown_gateway(self) -> None:
        self._to(b"/v1/local/nowhere/openai/chat/completions", status=404)

    def _a_guarded_gateway(self) -> None:
        is_known = self._chance.random() < 0.5
        self._put(b"cf-aig-authorization", b"Bearer " + (TOKEN if is_known else TOKEN[::-1]))
        self._to(GUARDED + b"chat/completions", status=200 if is_known else 401)

    # How it is changed.

    def _count(self) -> int:
        self._number += 1
        return self._number

    def _octets(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def _header(self) -> int:
        """The place of a header that may be anything."""
        return self._chance.choice(self._places())

    def _places(self) -> list[int]:
        headers = self._draft.headers
        return [index for index, (name, _) in enumerate(headers) if not name.lower().startswith(_NOT_ANYTHING)]

    def _put(self, name: bytes, value: bytes) -> None:
        """In place of the one of that name, or somewhere."""
        headers = self._draft.headers
        for index, (known, _) in enumerate(headers):
            if known.lower() == name.lower():
                headers[index] = known, value
                return
        headers.insert(self._chance.randrange(len(headers) + 1), (name, value))

    def _to(self, target: bytes, *, status: int = 200) -> None:
        self._draft.target, self._draft.status = target, status


_CHANGES: tuple[Callable[[Author], None], ...] = (
    Author._another_body,
    Author._another_body_of_that_length,
    Author._a_body_that_reads_like_this_request,
    Author._no_body,
    Author._chunks_instead,
    Author._another_method,
    Author._another_query,
    Author._another_path,
    Author._the_absolute_form,
    Author._another_host,
    Author._another_value,
    Author._another_value,
    Author._another_case,
    Author._another_order,
    Author._a_header_twice,
    Author._a_header_more,
    Author._a_header_less,
    Author._a_header_that_stops_here,
    Author._a_header_that_connection_names,
    Author._another_event,
    Author._an_expectation,
    Author._another_version,
    Author._an_unknown_gateway,
    Author._a_guarded_gateway,
)
