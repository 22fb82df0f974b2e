"""
Faults: how an error crosses a process boundary and is raised again as itself.

The service ends a stream or a call with the error's gRPC status, its message, and its code in the trailing
metadata; the client makes the same class of it again. What carries no code is the transport's own failure
and becomes `DependencyUnavailable`. Hazard: a failure nobody foresaw says only "internal error" across the
boundary, because its message may hold anything; the log of the process it happened in has the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import grpc
import grpc.aio

from services.kit.errors import DependencyUnavailable, NarrowsError, from_code

CODE_TRAILER = "narrows-error-code"
RETRY_AFTER_TRAILER = "narrows-retry-after-s"
_MESSAGE_CHARACTERS_MAX = 1_000


def unforeseen() -> NarrowsError:
    """What the other side hears of a failure that nobody foresaw."""
    return NarrowsError("internal error")


def status_of(error: NarrowsError) -> grpc.StatusCode:
    """The gRPC status this error crosses with."""
    return grpc.StatusCode[error.grpc_status]


def message_of(error: NarrowsError) -> str:
    """The error's message, short enough for a header."""
    return error.message[:_MESSAGE_CHARACTERS_MAX]


def trailers_of(error: NarrowsError) -> tuple[tuple[str, str], ...]:
    """The metadata that makes the status this very error again."""
    code = (CODE_TRAILER, str(error.code))
    if error.retry_after_s is None:
        return (code,)
    return (code, (RETRY_AFTER_TRAILER, repr(error.retry_after_s)))


def error_of(failure: grpc.aio.AioRpcError, *, dependency: str) -> NarrowsError:
    """The error that the other side raised, or that it could not be reached."""
    trailers: dict[str, str | bytes] = dict(
        cast("Iterable[tuple[str, str | bytes]]", failure.trailing_metadata() or ())
    )
    code = _number(trailers.get(CODE_TRAILER))
    if code is None:
        return DependencyUnavailable(f"{dependency} does not answer: {failure.code().name}: {failure.details()}")
    retry_after_s = _number(trailers.get(RETRY_AFTER_TRAILER))
    return from_code(int(code), failure.details() or "", retry_after_s=retry_after_s)


def _number(text: str | bytes | None) -> float | None:
    """What a trailer says; None if it says no number."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
