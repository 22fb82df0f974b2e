"""
Files: written whole or not at all, readable by nobody else, in a folder that only one process uses.

A file that is replaced is written beside its place, synced and renamed, so a crash at any moment leaves the old
one or the new one. A folder is locked with `flock`: the kernel lets go of it when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.kit.errors import SettingsInvalid

FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK_NAME = "lock"

_log = logging.getLogger(__name__)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file by this content. Raises OSError; the old file is there then, unchanged."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def locked_folder(path: Path) -> Iterator[Path]:
    """
    A folder that is ours while the block runs, made if it is not there.

    Raises SettingsInvalid when another process has it, or when it cannot be written to.
    """
    try:
        descriptor = _open_lock(path)
    except OSError as error:
        raise SettingsInvalid(f"NARROWS_DATA_DIR: {path} cannot be used: {error.strerror}") from error
    with _held(descriptor, path):
        yield path


@contextmanager
def locked_folder_if_writable(path: Path) -> Iterator[Path | None]:
    """
    The same for who can do without: None, and a warning, where the disk cannot be written to.

    Raises SettingsInvalid when another process has it.
    """
    try:
        descriptor = _open_lock(path)
    except OSError as error:
        _log.warning("%s cannot be used, so nothing is kept there: %s", path, error.strerror)
        yield None
        return
    with _held(descriptor, path):
        yield path


def _open_lock(path: Path) -> int:
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    return os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


@contextmanager
def _held(descriptor: int, path: Path) -> Iterator[None]:
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise SettingsInvalid(f"NARROWS_DATA_DIR: {path} cannot be locked: {error.strerror}") from error
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise SettingsInvalid(
            f"NARROWS_DATA_DIR: {path} is in use by another process ({owner}); each process needs a folder of its own"
        ) from error
    # Who has it is for people to read; a full disk must not keep anybody from starting.
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _sync_folder(path: Path) -> None:
    """A rename is on disk only when its folder is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
