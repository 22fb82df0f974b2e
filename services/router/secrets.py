"""
Secrets: the values that resources only refer to.

A resource names a place (`valueFrom`), and this reads it. What cannot be read refuses the resource that asks for it,
with its path. Hazard: neither a message nor a log ever holds what was read, nor what stands where a name should.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from services.kit.secret import Secret
from services.router.resources.references import KeyReference

SECRET_BYTES_MAX = 64 * 1024


class Unreadable(NamedTuple):
    """Why a secret could not be had, and by which field of the reference."""

    place: str
    message: str


class Secrets(Protocol):
    """Reads what a reference names. It has exactly one place, and one that is allowed to it (resources/scope.py)."""

    def read(self, reference: KeyReference, *, namespace: str) -> Secret | Unreadable:
        """The secret: printable ASCII, not empty."""
        ...


class FileSecrets:
    """Environment variables and files of the router itself, for resources that come from a file."""

    def __init__(self, *, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._taken: dict[Path, bytes] = {}

    def read(self, reference: KeyReference, *, namespace: str) -> Secret | Unreadable:
        """From `env` or `file`."""
        if reference.env is not None:
            value = self._environment.get(reference.env)
            if value is None:
                return Unreadable("env", f"the environment variable {_shown(reference.env)}is not set")
            return _judged(value, "env")
        return self._read_file(reference.file or "")

    def taken(self) -> Mapping[Path, bytes]:
        """The files that were read since the last `forget`, with a hash of what they held then."""
        return dict(self._taken)

    def look(self) -> Mapping[Path, bytes]:
        """The same files, with a hash of what they hold now."""
        return {path: _fingerprint(_content(path)) for path in self._taken}

    def forget(self) -> None:
        """A new reading begins: files that it does not ask for are watched no longer."""
        self._taken.clear()

    def _read_file(self, name: str) -> Secret | Unreadable:
        path = self._folder / name
        content = _content(path)
        self._taken[path] = _fingerprint(content)
        if content is None:
            return Unreadable("file", "cannot be read")
        if len(content) > SECRET_BYTES_MAX:
            return Unreadable("file", f"must be at most {SECRET_BYTES_MAX} bytes long")
        return _judged(content.decode("latin-1").removesuffix("\n").removesuffix("\r"), "file")


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(SECRET_BYTES_MAX + 1)
    except (OSError, ValueError):
        return None


def _fingerprint(content: bytes | None) -> bytes:
    return b"" if content is None else hashlib.sha256(content).digest()


def _shown(name: str) -> str:
    """A variable's name with a space behind it, if it is spelled like one: somebody may have pasted the key itself."""
    return f"{name} " if name.isupper() else ""


def _judged(value: str, place: str) -> Secret | Unreadable:
    """A secret becomes a header's value, so it must be able to."""
    if not value.strip():
        return Unreadable(place, "is empty")
    if not (value.isascii() and value.isprintable()):
        return Unreadable(place, "must hold printable ASCII in one line")
    return Secret(value)
