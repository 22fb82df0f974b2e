"""
Heads: the first bytes of a request to a provider, and what an answer to a client says of its connection.

A request's head is built by joining what came, so order, case and duplicates survive. What is added stands in one
place: `Host`, the framing of a body whose own framing was hop-by-hop, a stored key and the attempt's trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.dialects.stored_key import key_header
from services.edge.exchange import Exchange
from services.edge.plan import Step, StreamedBody

Pairs = Sequence[tuple[bytes, bytes]]

_BODY_METHODS = frozenset(("POST", "PUT", "PATCH", "QUERY"))


def request_head(step: Step, *, stored_key: str = "", traceparent: str = "") -> bytes:
    """
    The whole head, with its empty line. `traceparent` replaces the client's; `stored_key` is put in the provider's
    header.
    """
    body, form = step.body, step.form
    if form is None or stored_key or traceparent or not isinstance(body, bytes):
        return b"".join(_lines(step, stored_key, traceparent))
    if form.lines is None:
        form.lines = _around_length(_lines(step, "", ""))
    before, after = form.lines
    return b"%b%d%b" % (before, len(body), after) if after else before


def _lines(step: Step, stored_key: str, traceparent: str) -> list[bytes]:
    headers: Pairs = step.headers
    if traceparent:
        headers = [pair for pair in headers if pair[0].lower() != b"traceparent"]
        headers.append((b"traceparent", traceparent.encode()))
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (step.method.encode(), step.target, step.origin.authority)]
    if isinstance(step.body, bytes):
        headers = _with_length(headers, len(step.body))
    lines += [b"%b: %b\r\n" % pair for pair in headers]
    if stored_key:
        lines.append("{}: {}\r\n".format(*key_header(step.provider, stored_key)).encode())
    if "content-length" not in step.noted:
        lines.append(_framing(step))
    lines.append(b"\r\n")
    return lines


def _with_length(headers: Pairs, size_bytes: int) -> Pairs:
    """The headers of a head that has come again are those of its first request, whose body had a length of its own."""
    return [
        (pair[0], b"%d" % size_bytes) if len(pair[0]) == 14 and pair[0].lower() == b"content-length" else pair
        for pair in headers
    ]


def _around_length(lines: list[bytes]) -> tuple[bytes, bytes]:
    """What stands before and after the digits of `Content-Length`; all of it and nothing where there is none."""
    for index, line in enumerate(lines):
        if line[:15].lower() == b"content-length:":
            return b"".join([*lines[:index], line[:15], b" "]), b"".join([b"\r\n", *lines[index + 1 :]])
    return b"".join(lines), b""


def _framing(step: Step) -> bytes:
    """
    The framing header of a body that has none among the headers; empty for a request without a body.

    A client can have its own `Content-Length` dropped (`Connection: content-length`); without another one the provider
    would take the body for the next request.
    """
    if isinstance(step.body, StreamedBody):
        length = step.body.length_bytes
        return b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length
    if step.body or step.method in _BODY_METHODS:
        return b"Content-Length: %d\r\n" % len(step.body)
    return b""


def connection_line(exchange: Exchange) -> bytes:
    """What an answer's head must say about the connection: that it closes, or, to HTTP/1.0, that it does not."""
    if exchange.reply.decide():
        return b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if exchange.arrival.is_http_1_0 else b""
