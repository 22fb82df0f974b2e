"""
Disk copy: the last snapshot, for a start without a router.

    narrows-snapshot 1 sealed\\n     salt, nonce, AES-256-GCM of the content (sealing.py)
    narrows-snapshot 1 plain\\n      SHA-256 of the content, the content

The content is MessagePack of `_Stored`. A plain copy holds no stored keys. It is replaced as a whole (kit/files.py),
so whatever happens there is a whole copy or none. A damaged one is set aside as `.damaged`, for people to look at, and
never stops an edge from starting.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from pathlib import Path

import msgspec

from services.contracts.router.snapshot import Content, Release, difference, version_of
from services.contracts.router.values import GatewayId, Refusal, StoredKey, StoredKeys
from services.edge.configuration.live import Live, updated
from services.edge.configuration.sealing import Sealer
from services.kit.errors import SnapshotRefused
from services.kit.files import FOLDER_MODE, write_atomically

FORMAT_VERSION = 1

_MAGIC = b"narrows-snapshot "
_HEADER_BYTES_MAX = 64
_DIGEST_BYTES = 32

_log = logging.getLogger(__name__)


class _Stored(msgspec.Struct, frozen=True):
    version: str
    revisions: dict[str, int]
    catalogue: bytes
    gateways: list[tuple[str, str, bytes]]
    refusals: tuple[Refusal, ...]
    keys: tuple[StoredKey, ...] = ()


class DiskCopy:
    """One file. Its methods block: call them in a thread."""

    def __init__(self, path: Path, *, sealer: Sealer | None) -> None:
        self._path = path
        self._sealer = sealer

    def write(self, live: Live) -> None:
        """Replace the copy. Raises OSError."""
        content = live.content
        stored = _Stored(
            version=live.version,
            revisions=live.snapshot.revisions,
            catalogue=content.catalogue,
            gateways=[(account, name, part) for (account, name), part in content.gateways.items()],
            refusals=live.snapshot.refusals,
            keys=tuple(live.keys.values()) if self._sealer is not None else (),
        )
        self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        write_atomically(self._path, self._packed(msgspec.msgpack.encode(stored)))

    def read(self) -> Live | None:
        """What was written last; None if there is no copy that can be used."""
        try:
            packed = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("the copy of the snapshot cannot be read: %s", error)
            return None
        header, _, body = packed.partition(b"\n")
        if header == _header("sealed"):
            if self._sealer is None:
                _log.warning("the copy of the snapshot is sealed and NARROWS_SNAPSHOT_KEY is not set; it is not used")
                return None
            return self._live_of(self._sealer.open(body, label=header))
        if header == _header("plain"):
            return self._live_of(_checked(body))
        if header.startswith(_MAGIC) and len(header) <= _HEADER_BYTES_MAX:
            _log.warning("the copy of the snapshot has a format that this version does not know; it is not used")
            return None
        return self._live_of(None)

    def _packed(self, content: bytes) -> bytes:
        if self._sealer is None:
            return _header("plain") + b"\n" + hashlib.sha256(content).digest() + content
        header = _header("sealed")
        return header + b"\n" + self._sealer.seal(content, label=header)

    def _live_of(self, content: bytes | None) -> Live | None:
        try:
            if content is None:
                raise SnapshotRefused("it was changed, cut off or sealed with another key")
            return _live(msgspec.msgpack.decode(content, type=_Stored))
        except (SnapshotRefused, msgspec.DecodeError) as error:
            aside = self._path.with_name(self._path.name + ".damaged")
            with suppress(OSError):
                self._path.replace(aside)
            _log.warning("the copy of the snapshot is damaged and set aside as %s: %s", aside.name, error)
            return None


def _header(form: str) -> bytes:
    return _MAGIC + f"{FORMAT_VERSION} {form}".encode()


def _checked(body: bytes) -> bytes | None:
    digest, content = body[:_DIGEST_BYTES], body[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _live(stored: _Stored) -> Live:
    """Raises SnapshotRefused if the content does not hash to its version."""
    gateways: dict[GatewayId, bytes] = {(account, name): part for account, name, part in stored.gateways}
    content = Content(stored.catalogue, gateways)
    if version_of(content) != stored.version:
        raise SnapshotRefused("its content does not hash to its version")
    release = Release(stored.version, content, stored.revisions, stored.refusals)
    return updated(None, difference(None, release), StoredKeys(stored.version, stored.keys))
