"""
TLS files: the certificate, key and authority of a directory, read again when they change.

Services prove to each other who they are with one directory (`NARROWS_TLS_DIR`): `tls.crt`, `tls.key` and `ca.crt`, the
names that Kubernetes and cert-manager write. A renewal replaces them one after the other, so there are moments
in which certificate and key do not belong together: those are noticed and waited out, and the last good three
stay in use. Nothing here knows gRPC.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path

from services.kit.errors import SettingsInvalid

_NAMES = ("tls.crt", "tls.key", "ca.crt")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM bytes that belong together."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


_Stamp = tuple[tuple[int, int, int], ...]


class TlsFiles:
    """What the directory holds now. Asked from gRPC's own threads too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._stamp: _Stamp = ()
        self._certificates: Certificates | None = None

    def current(self) -> Certificates:
        """The newest three that belong together. Raises SettingsInvalid when there never were any."""
        with self._lock:
            try:
                self._refresh()
            except (OSError, ssl.SSLError) as error:
                if self._certificates is None:
                    raise SettingsInvalid(
                        f"{self._directory}: tls.crt, tls.key and ca.crt must be readable PEM, and tls.key the key of "
                        f"tls.crt: {error}"
                    ) from error
                _log.warning("%s: keeping the certificates read before: %s", self._directory, error)
            if self._certificates is None:
                raise SettingsInvalid(f"{self._directory}: tls.crt, tls.key and ca.crt changed while they were read")
            return self._certificates

    def _refresh(self) -> None:
        """Read if the files' stamps have moved; a change in between is seen the next time."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        _check(self._directory)
        certificate, key, authority = [(self._directory / name).read_bytes() for name in _NAMES]
        if self._look() == stamp:
            self._certificates = Certificates(certificate=certificate, key=key, authority=authority)
            self._stamp = stamp

    def _look(self) -> _Stamp:
        found = [(self._directory / name).stat() for name in _NAMES]
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)


def _check(directory: Path) -> None:
    """Raise ssl.SSLError unless the key belongs to the certificate and the authority is one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    context.load_verify_locations(directory / "ca.crt")
