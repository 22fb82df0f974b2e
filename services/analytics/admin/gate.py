"""
Gate: who may use the admin port.

With a token: whoever sends it as `Authorization: Bearer`, compared in constant time. Without one: only this machine,
and only under a name that means this machine, because a web page that somebody visits here can send requests to any
port under a name of its own (DNS rebinding), and logs hold what was said.
"""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from services.kit.addresses import is_loopback
from services.kit.errors import Forbidden, Unauthenticated
from services.kit.secret import Secret

_BEARER = "bearer "


class Gate:
    """Lets a request through, or raises."""

    def __init__(self, *, token: Secret | None) -> None:
        self._digest = None if token is None else _digest(token.reveal())

    def check(self, request: web.Request) -> None:
        """Raises Unauthenticated, Forbidden."""
        if self._digest is not None:
            self._check_token(request.headers.get("Authorization", ""), self._digest)
        elif not is_loopback_peer(_peer(request)):
            raise Forbidden("without NARROWS_ADMIN_TOKEN the admin port answers this machine only")
        elif not is_loopback_name(request.host):
            raise Forbidden(
                f"without NARROWS_ADMIN_TOKEN the admin port answers as localhost only, not as {request.host!r}"
            )

    def _check_token(self, header: str, digest: bytes) -> None:
        if header[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated("Authorization: must be Bearer and the admin token")
        if not hmac.compare_digest(_digest(header[len(_BEARER) :].strip()), digest):
            raise Unauthenticated("Authorization: wrong admin token")


def is_loopback_peer(address: str | None) -> bool:
    """Whether a connection comes from this machine; a Unix socket has no address and does."""
    return address is None or is_loopback(address)


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    return is_loopback(name.removeprefix("[").removesuffix("]"))


def _peer(request: web.Request) -> str | None:
    peername = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(peername[0]) if isinstance(peername, tuple) else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
