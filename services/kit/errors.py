"""
Errors: one short tree for everything that Narrows itself refuses.

A class exists because someone catches it, or because a client reads its code. It carries a stable
integer `code` (the `cf-aig-error-code` header and the metric label), the HTTP status the edge answers
and the gRPC status it crosses a process boundary with; `from_code` raises it again as the same class
on the other side. The message says what was wrong and what would be right. Hazard: a message is shown
to clients, so it never holds a secret, a body or a provider's URL query.

The table in docs/errors.md is generated from this file (`make generated`).
"""

from __future__ import annotations

from typing import ClassVar


class NarrowsError(Exception):
    """Anything Narrows itself refuses. `retry_after_s` is set where trying again later makes sense."""

    code: ClassVar[int] = 2000
    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class UnknownGatewayForUniversal(NarrowsError):
    """Unknown gateway on the universal endpoint; Cloudflare's SDK reads exactly this code and status."""

    code, http_status, grpc_status = 2001, 400, "NOT_FOUND"


class UnknownGateway(NarrowsError):
    """No such account or gateway, on every surface but the universal endpoint."""

    code, http_status, grpc_status = 2002, 404, "NOT_FOUND"


class UnknownProvider(NarrowsError):
    """The provider is neither in the catalogue nor declared by the operator, or this gateway does not allow it."""

    code, http_status, grpc_status = 2003, 400, "NOT_FOUND"


class Malformed(NarrowsError):
    """The request is not valid HTTP, JSON or wire protocol; the message names the part."""

    code, http_status, grpc_status = 2004, 400, "INVALID_ARGUMENT"


class BodyTimeout(NarrowsError):
    """The request's head or body did not arrive in time."""

    code, http_status, grpc_status = 2005, 408, "DEADLINE_EXCEEDED"


class BodyTooLarge(NarrowsError):
    """The request body is over the limit."""

    code, http_status, grpc_status = 2006, 413, "RESOURCE_EXHAUSTED"


class NotBuilt(NarrowsError):
    """A surface of the protocol that this version does not serve yet."""

    code, http_status, grpc_status = 2007, 501, "UNIMPLEMENTED"


class PathNotFound(NarrowsError):
    """No surface of the protocol has this path."""

    code, http_status, grpc_status = 2008, 404, "NOT_FOUND"


class Unauthenticated(NarrowsError):
    """Missing or wrong gateway token; Cloudflare's SDK reads exactly this code and status."""

    code, http_status, grpc_status = 2009, 401, "UNAUTHENTICATED"


class Forbidden(NarrowsError):
    """Policy refuses the request."""

    code, http_status, grpc_status = 2010, 403, "PERMISSION_DENIED"


class GuardrailBlocked(NarrowsError):
    """A guardrail or a data-loss rule blocked the request."""

    code, http_status, grpc_status = 2011, 424, "FAILED_PRECONDITION"


class LimitExceeded(NarrowsError):
    """A rate limit or budget of the gateway is used up."""

    code, http_status, grpc_status = 2012, 429, "RESOURCE_EXHAUSTED"


class MethodNotAllowed(NarrowsError):
    """The surface exists, but not with this HTTP method."""

    code, http_status, grpc_status = 2013, 400, "UNIMPLEMENTED"


class HeadTooLarge(NarrowsError):
    """The request's line or headers are over the limit."""

    code, http_status, grpc_status = 2014, 400, "RESOURCE_EXHAUSTED"


class Overloaded(NarrowsError):
    """The edge sheds load: too many connections, streams, held bodies or upstream waits."""

    code, http_status, grpc_status = 2101, 503, "RESOURCE_EXHAUSTED"


class LimiterUnavailable(NarrowsError):
    """A limit with `failMode: closed` cannot be decided."""

    code, http_status, grpc_status = 2102, 503, "UNAVAILABLE"


class KeyUnavailable(NarrowsError):
    """The request needs a stored provider key that this edge does not have right now."""

    code, http_status, grpc_status = 2103, 503, "UNAVAILABLE"


class NotReady(NarrowsError):
    """The edge has no snapshot yet, or is stopping."""

    code, http_status, grpc_status = 2104, 503, "UNAVAILABLE"


class UpstreamError(NarrowsError):
    """No answer could be had from a provider. Parent of the reasons why."""

    code, http_status, grpc_status = 2200, 502, "UNAVAILABLE"


class UpstreamUnreachable(UpstreamError):
    """The provider's name did not resolve, its address refused, or TLS failed."""

    code, http_status, grpc_status = 2201, 502, "UNAVAILABLE"


class UpstreamProtocolError(UpstreamError):
    """The provider did not speak HTTP/1.1 as it should, or speaks HTTP/2 only; the message says which."""

    code, http_status, grpc_status = 2202, 502, "UNAVAILABLE"


class UpstreamAddressRefused(UpstreamError):
    """The provider's address is link-local, a metadata service, or private where that is not allowed."""

    code, http_status, grpc_status = 2203, 502, "FAILED_PRECONDITION"


class UpstreamClosed(UpstreamError):
    """The provider closed the connection before the answer's head was whole."""

    code, http_status, grpc_status = 2204, 502, "UNAVAILABLE"


class FirstByteTimeout(UpstreamError):
    """The first byte of the answer's body did not come in time."""

    code, http_status, grpc_status = 2205, 504, "DEADLINE_EXCEEDED"


class ConnectTimeout(UpstreamError):
    """No connection to the provider in time."""

    code, http_status, grpc_status = 2206, 502, "UNAVAILABLE"


class StreamBroken(UpstreamError):
    """The provider's answer was cut, stalled or malformed after its head; told in-band where the dialect allows it."""

    code, http_status, grpc_status = 2207, 502, "UNAVAILABLE"


class StreamStalled(StreamBroken):
    """The provider sent nothing for the idle time in the middle of its answer."""

    code, http_status, grpc_status = 2208, 504, "DEADLINE_EXCEEDED"


class DependencyUnavailable(NarrowsError):
    """A service or store behind the edge is down, frozen or slow; `cf-aig-degraded` names it."""

    code, http_status, grpc_status = 2300, 503, "UNAVAILABLE"


class SettingsInvalid(NarrowsError):
    """A flag or environment variable is unknown, of the wrong type or impossible; the message names it."""

    code, http_status, grpc_status = 2400, 500, "INVALID_ARGUMENT"


class SnapshotRefused(NarrowsError):
    """An edge got a snapshot whose content does not hash to its version, or that is older than its own."""

    code, http_status, grpc_status = 2402, 500, "FAILED_PRECONDITION"


class QueryInvalid(NarrowsError):
    """A management query names an unknown field, operator or page."""

    code, http_status, grpc_status = 2403, 400, "INVALID_ARGUMENT"


class NotFound(NarrowsError):
    """The management API has no such object."""

    code, http_status, grpc_status = 2404, 404, "NOT_FOUND"


def every_error() -> list[type[NarrowsError]]:
    """All classes of the tree, by code."""
    found: dict[int, type[NarrowsError]] = {}
    waiting: list[type[NarrowsError]] = [NarrowsError]
    while waiting:
        kind = waiting.pop()
        found[kind.code] = kind
        waiting.extend(kind.__subclasses__())
    return [found[code] for code in sorted(found)]


def from_code(code: int, message: str, *, retry_after_s: float | None = None) -> NarrowsError:
    """The error of that code, as it was before it crossed a process boundary; unknown codes become the root."""
    for kind in every_error():
        if kind.code == code:
            return kind(message, retry_after_s=retry_after_s)
    return NarrowsError(message, retry_after_s=retry_after_s)
