"""
TLS: one client context for all providers, which remembers their sessions.

A full handshake costs a round trip and a millisecond of CPU; offering the host's last session saves most of it. The
event loop makes TLS objects through the context's `wrap_bio` and has no way to pass a session, so the context itself
adds it there. ALPN offers http/1.1 only: a provider that speaks nothing but HTTP/2 must say so in the handshake, not
in bytes that nobody understands.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from services.kit.errors import SettingsInvalid, UpstreamError, UpstreamProtocolError, UpstreamUnreachable

_SESSIONS_MAX = 1024
_UNKNOWN_AUTHORITY = frozenset((2, 18, 19, 20, 21))
"""OpenSSL's verify codes for a chain that ends in nobody who is trusted."""
HTTP2_ONLY = "the provider speaks only HTTP/2; this gateway speaks HTTP/1.1 to providers"
MAYBE_HTTP2_ONLY = "it did not agree to HTTP/1.1 in the TLS handshake and may speak only HTTP/2"


class SessionContext(ssl.SSLContext):
    """An SSLContext that offers a host's last session when a new connection to it is wrapped."""

    _sessions: dict[str, ssl.SSLSession]

    def __new__(cls, *_: Any, **__: Any) -> SessionContext:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._sessions = {}
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001  # the parent's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the parent's, with the session that was kept for this host."""
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def keep_session(self, tls: ssl.SSLObject) -> None:
        """Remember the session of a connection that has worked; beyond the bound the oldest one is forgotten."""
        session, host = tls.session, tls.server_hostname
        if session is None or host is None or not session.has_ticket:
            return
        self._sessions.pop(host, None)
        if len(self._sessions) >= _SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[host] = session


def client_context(*, ca_files: Sequence[str] = (), system_ca_file: str | None = None) -> SessionContext:
    """
    The context for all providers. Raises SettingsInvalid.

    `ca_files` are trusted beside the system's own, `system_ca_file` in place of these: OpenSSL by itself would go on
    trusting the system's folder of certificates beside such a file, and somebody who names one means no other.
    """
    context = SessionContext()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if system_ca_file is None:
        context.load_default_certs()
    for ca_file in (*([] if system_ca_file is None else [system_ca_file]), *ca_files):
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(f"the CA file {ca_file} cannot be read: {error.strerror or error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_name(host: str) -> str:
    """The name a certificate is checked against: a host's trailing dot is DNS's own."""
    return host.rstrip(".")


def tls_failure(where: str, error: ssl.SSLError) -> UpstreamError:
    """A failed handshake in the error tree."""
    reason = _reason(error)
    if "no application protocol" in reason:
        return UpstreamProtocolError(f"{where}: {HTTP2_ONLY}")
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "; NARROWS_UPSTREAM_CA names authorities to trust" if error.verify_code in _UNKNOWN_AUTHORITY else ""
        return UpstreamUnreachable(f"{where}: its certificate was refused: {error.verify_message}{hint}")
    return UpstreamUnreachable(f"{where}: TLS failed: {reason}")


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's words: `reason` where this Python has a name for them, else the message before its source."""
    if error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error.strerror or error).partition(" (_ssl")[0].removeprefix("[SSL] ")
